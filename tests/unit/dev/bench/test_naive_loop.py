"""The naive loop sees what anybody's would, so that the comparison is fair."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tools.dev.bench.naive import Naive, Track, overlap
from tools.dev.bench.table import render
from tools.dev.clip.make import read_truth

pytestmark = pytest.mark.slow


def a_box(left: float, top: float, size: float = 50) -> np.ndarray:
    return np.array([left, top, left + size, top + size], np.float32)


def test_track_is_looked_for_where_it_would_have_got_to() -> None:
    track = Track(a_box(0, 0), 0, np.zeros(4, np.float32))
    for frame in range(1, 8):
        track.move(a_box(20.0 * frame, 0), frame)
    assert overlap(track.expected(12), a_box(240, 0)) > 0.9
    assert overlap(track.box, a_box(240, 0)) == 0.0


def test_overlap_is_that_of_areas() -> None:
    assert overlap(a_box(0, 0), a_box(0, 0)) == pytest.approx(1.0)
    assert overlap(a_box(0, 0), a_box(25, 0)) == pytest.approx(1 / 3)
    assert overlap(a_box(0, 0), a_box(50, 50)) == 0.0


@pytest.mark.long
def test_naive_loop_finds_the_listed_person_once_and_nobody_else(
    models_ready: Path, clip: Path, watchlist_folder: Path
) -> None:
    passage = next(p for p in read_truth(clip).passages if p.listed)
    naive = Naive(threshold=0.516, threads=2)
    naive.enrol(watchlist_folder, fill=50)
    tally = naive.run(clip, [(passage.first, passage.first + 25)])
    assert tally.frames == 25
    assert tally.faces > 25
    assert tally.processor_s > 0
    assert [alert["entry"] for alert in tally.alerts] == ["obama"]


def test_table_states_what_was_held() -> None:
    side = {
        "fps": 90.0,
        "processor_ms": 8.0,
        "templates_per_person": 4.0,
        "peak_rss_mb": 380,
        "found": 2,
        "false_alerts": 0,
    }
    result = {
        "machine": {
            "date": "d",
            "cpu": "c",
            "cores": 2,
            "memory_gb": 8,
            "load_1min": 0.1,
            "python": "3",
            "versions": {},
        },
        "clip": {"width": 1280, "height": 720, "frames": 750, "passages": 60, "faces_in_view": 5.0},
        "listed": 1822,
        "product": {
            **side,
            "listed": 2,
            "faces_seen": 50,
            "templates": 200,
            "threshold": 0.516,
            "backend": "x",
            "stages_ms": {"decode": {"p50": None, "p95": None, "n": 0}},
        },
        "naive": {**side, "fps": 10.0, "templates": 500, "tracks": 20, "frames": 150, "threads": 2},
        "ratio": 9.0,
        "processor_ratio": 20.0,
        "same_frames": {
            "faces_in_view": 5.0,
            "product": {"found": 2, "false_alerts": 0, "duplicates": 0},
            "naive": {"found": 2, "false_alerts": 0, "duplicates": 1},
        },
        "latency": {"p50_ms": 40.0, "p99_ms": 250.0, "max_ms": 250.0, "alerts": 40},
    }
    assert "screen" not in render(result)
    assert "\nscreen second;" in render({**result, "screen": "second"})
    verdict = render(result).splitlines()[-5:]
    assert [line[:3] for line in verdict] == ["NO ", "yes", "yes", "yes", "yes"]
    assert "9.0 times" in verdict[0]
    assert "20.0 times less processor time" in verdict[1]
