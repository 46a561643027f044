"""int8 calibration: what a precision costs, and ranges from histograms."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from calibration.int8.calibrate import read_dataset
from calibration.int8.cost import cost
from calibration.int8.ranges import BINS, entropy, least_squares, percentile
from device.domain.sight import F32
from device.enrolment.model_sessions import ModelSessions
from device.errors import BadData, EvidenceUnusable


def people(count: int, noise: float, seed: int = 1) -> tuple[list[str], F32]:
    """Two photos of each person, unit templates of 64 numbers."""
    rng = np.random.default_rng(seed)
    rows = np.repeat(rng.normal(size=(count, 64)), 2, axis=0) + noise * rng.normal(size=(2 * count, 64))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return [f"p{i // 2:04d}" for i in range(2 * count)], rows.astype(np.float32)


def test_the_same_templates_cost_nothing() -> None:
    names, rows = people(120, 1.0)
    paid = cost(names, rows, rows)
    assert (paid.points, paid.low, paid.high) == (0, 0, 0)
    assert (paid.mated, paid.unmated) == (240, 240 * 239 - 240)
    assert paid.allowed


def test_templates_that_lose_the_likeness_of_a_person_cost_points() -> None:
    names, exact = people(120, 0.8)
    _, worse = people(120, 2.0)
    paid = cost(names, exact, worse)
    assert paid.points > 20
    assert paid.low <= paid.points <= paid.high
    assert not paid.allowed


def test_without_second_photos_a_cost_cannot_be_measured() -> None:
    names, rows = people(30, 1.0)
    with pytest.raises(BadData, match="cannot be measured"):
        cost(names[::2], rows[::2], rows[::2])


def test_photos_are_read_once_whatever_they_are_called_and_too_few_people_are_refused(
    models_ready: Path, samples: Callable[[str], list[Path]], tmp_path: Path
) -> None:
    for path in samples("public")[:2]:
        for name in ("1", "copy"):
            target = tmp_path / path.stem / f"{name}{path.suffix}"
            target.parent.mkdir(exist_ok=True)
            target.write_bytes(path.read_bytes())
    room = ModelSessions("onnxruntime:fp32", threads=1, models=models_ready)
    read: list[str] = []
    with pytest.raises(BadData, match="2 people with a usable face; int8 calibration needs at least 100"):
        read_dataset(tmp_path, room, read.append)
    assert len(read) == 2
    with pytest.raises(EvidenceUnusable, match="no such folder"):
        read_dataset(tmp_path / "none", room, read.append)
    room.close()


def test_ranges_of_a_histogram_keep_the_mass_and_cut_the_tail() -> None:
    counts = np.zeros(BINS)
    counts[:512] = 1000
    counts[-1] = 1
    assert percentile(99.99)(counts) == pytest.approx(512 / BINS, abs=2 / BINS)
    assert 0.2 < least_squares(counts) < 1
    assert 0 < entropy(counts) <= 1
