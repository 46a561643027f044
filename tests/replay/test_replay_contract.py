"""What `lfr replay --json` prints, key by key, and what its options do."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engines.cards.model_card import ModelCard
from tests.replay.conftest import Desk, Ended, ManyRuns

NUMBER_OR_NULL = (float, int, type(None))
CONTRACT: dict[str, Any] = {
    "mode": str,
    "frames": int,
    "seconds": float,
    "fps": float,
    "faces_seen": int,
    "templates": int,
    "threshold": float,
    "threshold_source": str,
    "watchlist": {
        "subjects": int,
        "images": int,
        "rejected": [{"file": str, "reason": str}],
        "warnings": [{"file": str, "reason": str}],
    },
    "alerts": [
        {
            "entry": str,
            "score": float,
            "frame": int,
            "t_ms": float,
            "track": int,
            "contradicted_by": [int],
            "picture_damaged": bool,
        }
    ],
    "stages_ms": {
        stage: {"p50": NUMBER_OR_NULL, "p95": NUMBER_OR_NULL, "n": int}
        for stage in ("decode", "detect", "track", "align", "embed", "match")
    },
    "backend": str,
    "peak_rss_mb": int,
}
BESIDE_THE_CONTRACT = {"counters", "source", "operating_point", "processor_s"}
"""Diagnostic fields, which may change without notice."""


def misfits(found: Any, wanted: Any, path: str) -> Iterator[str]:
    """Where a report is not of the contract's shape."""
    if isinstance(wanted, dict):
        if set(found) != set(wanted):
            yield f"{path}: {sorted(set(found) ^ set(wanted))}"
        for key in set(found) & set(wanted):
            yield from misfits(found[key], wanted[key], f"{path}.{key}")
    elif isinstance(wanted, list):
        for n, each in enumerate(found):
            yield from misfits(each, wanted[0], f"{path}[{n}]")
    elif type(found) not in (wanted if isinstance(wanted, tuple) else (wanted,)):
        yield f"{path}: {found!r} is no {wanted}"


def test_one_json_object_of_the_contracts_shape_and_nothing_else_on_stdout(first: Ended) -> None:
    report = first.report
    assert first.out.count("\n") == 1
    assert set(report) - set(CONTRACT) == BESIDE_THE_CONTRACT
    assert list(misfits({key: report[key] for key in CONTRACT}, CONTRACT, "report")) == []
    assert report["alerts"]
    assert report["watchlist"]["rejected"]
    assert report["watchlist"]["warnings"]


def test_the_figures_of_a_report_agree_with_one_another(first: Ended) -> None:
    report = first.report
    assert report["mode"] == "test"
    assert report["frames"] == report["stages_ms"]["decode"]["n"] == 80
    assert report["fps"] == pytest.approx(report["frames"] / report["seconds"], rel=0.01)
    assert report["templates"] == report["stages_ms"]["embed"]["n"]
    assert 0 < report["processor_s"] <= report["seconds"] * (os.cpu_count() or 1)
    assert 50 < report["peak_rss_mb"] < 400
    assert report["counters"]["discarded"] + report["counters"]["alerted"] == report["faces_seen"]
    assert len(report["alerts"]) == report["counters"]["alerted"]
    assert 0.46 < report["threshold"] < 0.53
    assert report["threshold_source"].startswith("evidence sface-2021dec/")
    assert report["operating_point"]["predicted"] < report["operating_point"]["bound"] <= 0.001
    assert report["operating_point"]["outside_evidence"] == ""
    for row in report["stages_ms"].values():
        assert 0 <= row["p50"] <= row["p95"]


def test_the_listed_person_is_found_once_when_he_is_there(first: Ended, walk: Path, listed_name: str) -> None:
    """Under his folder's own name, spaces, accents and all, though the terminal knows ASCII only."""
    (alert,) = first.report["alerts"]
    truth = json.loads(walk.with_suffix(".truth.json").read_text())
    (passage,) = [each for each in truth["passages"] if each["listed"]]
    assert alert["entry"] == listed_name
    assert passage["first"] <= alert["frame"] <= passage["last"]
    assert alert["t_ms"] == pytest.approx(alert["frame"] * 40.0)
    assert alert["score"] >= first.report["threshold"]


def test_progress_is_reported_on_stderr_and_the_end_only_once(first: Ended) -> None:
    assert first.err.count("frame 80 of 80") == 1


def test_both_runtimes_find_the_same_people(first: Ended, lfr: ManyRuns, walk: Path, short_list: Path) -> None:
    portable = lfr(walk, "--watchlist", short_list, "--json", "--backend", "onnxruntime").report
    assert portable["backend"] == "onnxruntime:fp32"
    assert [row["entry"] for row in portable["alerts"]] == [row["entry"] for row in first.report["alerts"]]
    assert portable["alerts"][0]["score"] == pytest.approx(first.report["alerts"][0]["score"], abs=0.05)


def test_a_threshold_that_is_given_is_the_one_that_decides(lfr: ManyRuns, walk: Path, short_list: Path) -> None:
    report = lfr(walk, "--watchlist", short_list, "--json", "--threshold", "0.95").report
    assert (report["threshold"], report["alerts"]) == (0.95, [])
    assert "command line" in report["threshold_source"]


def test_a_recogniser_without_evidence_is_measured_with_a_threshold_marked_provisional(
    own_recogniser: ModelCard, desk: Desk, walk: Path, short_list: Path
) -> None:
    words = ["--watchlist", short_list, "--json", "--backend", "onnxruntime", "--recogniser", own_recogniser.name]
    ended = desk.run(walk, *words, "--quiet")
    report = ended.report
    assert "lfr: no evidence covers this run" in ended.err
    assert report["threshold_source"].startswith("provisional")
    assert "no evidence is shipped for recogniser 'tiny'" in report["threshold_source"]
    assert report["operating_point"]["predicted"] is None


@pytest.mark.parametrize("given", ["1.2", "-1.01", "nan", "much", ""])
def test_a_threshold_that_is_no_cosine_is_a_usage_error(
    given: str, lfr: ManyRuns, walk: Path, short_list: Path
) -> None:
    ended = lfr(walk, "--watchlist", short_list, "--json", f"--threshold={given}")
    assert (ended.status, ended.out) == (64, "")
    assert "threshold" in ended.err


def test_a_missing_watchlist_is_a_usage_error(lfr: ManyRuns, walk: Path) -> None:
    assert lfr(walk, "--json").status == 64


def test_a_backend_that_there_is_not_is_refused_and_not_replaced(lfr: ManyRuns, walk: Path, short_list: Path) -> None:
    ended = lfr(walk, "--watchlist", short_list, "--json", "--backend", "tensorflow")
    assert (ended.status, ended.out) == (64, "")
    assert "openvino" in ended.err


def test_without_json_it_is_a_table_for_people(lfr: ManyRuns, walk: Path, short_list: Path, listed_name: str) -> None:
    ended = lfr(walk, "--watchlist", short_list, "--quiet")
    assert ended.status == 0
    assert "1 possible match(es)" in ended.out
    assert listed_name in ended.out
    assert "frame" not in ended.err
