"""Several runs of `lfr bench recall` as one: their passages together, where chance decides less."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from device.errors import BadData
from tools.dev.bench.recall.run import NEAREST

ALIKE = ("backend", "naive_every", "threshold_source")


def pooled(files: Sequence[Path]) -> dict[str, Any]:
    """The result of `run.measure`, of all passages in results that `--json` printed, at the same threshold.

    The equal rate is left out: each run has thresholds of its own there. Raises BadData where a file is no such
    result, where two differ in what they compare, or where one clip is in two of them.
    """
    results = [_read(file) for file in files]
    first = results[0]
    sides = [one["same_threshold"] for one in results]
    for file, one in zip(files, results, strict=True):
        for name in ALIKE:
            if one[name] != first[name]:
                raise BadData(f"{file}: {name} is {one[name]}, in {files[0]} {first[name]}: pool runs that are alike")
        if one["same_threshold"]["product_threshold"] != sides[0]["product_threshold"]:
            raise BadData(f"{file}: its threshold is not that of {files[0]}: run both with --threshold")
    clips = list(chain.from_iterable(one["clips"] for one in results))
    names = [clip["clip"] for clip in clips]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise BadData(f"lfr bench recall --pool: {twice[0]} is in two of the files; no passage may count twice")
    return {
        **{name: first[name] for name in ALIKE},
        "listed": max(one["listed"] for one in results),
        "strangers": sum(one["strangers"] for one in results),
        "share": None,
        "same_threshold": {
            **sides[0],
            **{name: sum(side[name] for side in sides) for name in ("product_false", "naive_false")},
        },
        "highest_false": {
            side: sorted(
                chain.from_iterable(one["highest_false"][side] for one in results),
                key=lambda row: float(row["score"]),
                reverse=True,
            )[:NEAREST]
            for side in ("product", "naive")
        },
        "clips": clips,
        "passages": [
            {name: value for name, value in row.items() if name != "equal_rate"}
            for row in chain.from_iterable(one["passages"] for one in results)
        ],
    }


def _read(file: Path) -> dict[str, Any]:
    needed = {*ALIKE, "listed", "strangers", "same_threshold", "highest_false", "clips", "passages"}
    try:
        result = json.loads(file.read_text())
    except (OSError, ValueError) as fault:
        raise BadData(f"{file}: cannot be read as JSON: {fault}") from fault
    if not isinstance(result, dict) or not needed <= result.keys():
        raise BadData(f"{file}: not what `lfr bench recall --json` prints")
    return result
