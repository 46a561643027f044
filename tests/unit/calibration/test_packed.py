"""Both templates of a photo travel as one vector and come back as they were."""

from __future__ import annotations

import numpy as np
import pytest

from calibration.data.packed import packed, unpacked
from device.enrolment.engine_photo_reader import PhotoTemplates


def unit(seed: int, dim: int) -> np.ndarray:
    row = np.random.default_rng(seed).standard_normal(dim)
    return np.asarray(row / np.linalg.norm(row), np.float32)


@pytest.mark.parametrize("dim", [128, 384])
def test_entry_look_and_length_survive_the_normalisation_of_enrolment(dim: int) -> None:
    made = PhotoTemplates(unit(1, dim), unit(2, dim), 11.25)
    row = packed(made)
    back = unpacked(row / np.linalg.norm(row))
    assert back.entry == pytest.approx(made.entry, abs=1e-6)
    assert back.look == pytest.approx(made.look, abs=1e-6)
    assert back.length == pytest.approx(11.25, abs=1e-4)
