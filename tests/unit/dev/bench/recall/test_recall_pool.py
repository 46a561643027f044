"""Several runs as one: passages count together, once each, and only where the runs are alike."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from device.errors import BadData
from tools.dev.bench.recall.pool import pooled
from tools.dev.bench.recall.table import summary

Write = Callable[..., Path]


def result(clip: str, product: int, naive: int, passages: int = 6, **changed: Any) -> dict[str, Any]:
    """A run of `passages` listed passages, of which the first so many are found by each."""
    rows = [
        {
            "clip": clip,
            "height_px": 90.0,
            "pose": "frontal",
            "same_threshold": {"product": n < product, "naive": n < naive, "missed": None},
            "equal_rate": {"product": True, "naive": True, "missed": None},
        }
        for n in range(passages)
    ]
    made = {
        "listed": 100,
        "backend": "openvino:bf16",
        "threshold_source": "given on the command line",
        "strangers": 20,
        "naive_every": 1,
        "same_threshold": {
            "product_threshold": 0.56,
            "naive_threshold": 0.56,
            "product_false": 1,
            "naive_false": 2,
        },
        "highest_false": {"product": [{"score": product / 10}], "naive": [{"score": naive / 10}]},
        "clips": [{"clip": clip}],
        "passages": rows,
    }
    return {**made, **changed}


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def written(name: str, what: object) -> Path:
        file = tmp_path / name
        file.write_text(what if isinstance(what, str) else json.dumps(what))
        return file

    return written


def test_two_runs_whose_bands_are_too_small_prove_something_together(write: Write) -> None:
    whole = pooled([write("a", result("720p-1", 5, 3)), write("b", result("720p-2", 2, 3))])
    band = summary(whole)["bands"]["same_threshold"][0]
    assert (band["passages"], band["product"], band["naive"], band["proves"], band["fair"]) == (12, 7, 6, True, True)
    assert whole["strangers"] == 40
    assert (whole["same_threshold"]["product_false"], whole["same_threshold"]["naive_false"]) == (2, 4)
    assert [row["score"] for row in whole["highest_false"]["product"]] == [0.5, 0.2]


def test_a_band_below_is_below_in_the_pool(write: Write) -> None:
    whole = pooled([write("a", result("720p-1", 3, 3)), write("b", result("720p-2", 2, 3))])
    assert not summary(whole)["met"]


def test_the_equal_rate_whose_thresholds_differ_is_left_out(write: Write) -> None:
    assert list(summary(pooled([write("a", result("720p-1", 5, 3))]))["bands"]) == ["same_threshold"]


@pytest.mark.parametrize(
    ("other", "why"),
    [
        (result("720p-1", 2, 3), "720p-1 is in two of the files"),
        (result("720p-2", 2, 3, backend="openvino:fp32"), "backend is openvino:fp32, in .* openvino:bf16"),
        (result("720p-2", 2, 3, naive_every=3), "naive_every is 3"),
        (
            result("720p-2", 2, 3, same_threshold={**result("", 0, 0)["same_threshold"], "product_threshold": 0.5}),
            "its threshold is not that of",
        ),
        ({"listed": 3}, "not what `lfr bench recall --json` prints"),
        ("{", "cannot be read as JSON"),
    ],
)
def test_runs_that_are_not_alike_are_refused(other: object, why: str, write: Write) -> None:
    with pytest.raises(BadData, match=why):
        pooled([write("a", result("720p-1", 5, 3)), write("b", other)])


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadData, match=r"none\.json: cannot be read"):
        pooled([tmp_path / "none.json"])
