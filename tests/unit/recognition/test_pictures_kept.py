"""A picture is kept only of whoever comes near the threshold (device/vision/decision.py, rule 4)."""

from __future__ import annotations

import numpy as np
import pytest

from device.domain.sight import F32, Face, Frame
from device.vision.decision import PICTURED
from tests.unit.recognition.conftest import GOOD, THRESHOLD, World


def pictures(world: World) -> int:
    """Open passages of which a picture is kept."""
    return sum(bool(p.slot.shot.any()) and p.best_face is not None for p in world.pipeline._passages.open)


def looks_like(world: World, monkeypatch: pytest.MonkeyPatch, cosines: list[float]) -> None:
    """Person 0's likeness to their entry, look by look; the last one stays."""

    def embed(_frame: Frame, _face: Face, out: F32, *, gated: bool = False, mirrored: bool = False) -> float:
        cosine = cosines.pop(0) if len(cosines) > 1 else cosines[0]
        out[:] = 0
        out[0], out[100] = cosine, np.sqrt(1 - cosine**2)
        return GOOD

    monkeypatch.setattr(world.front_end, "embed", embed)


def test_of_a_passer_by_no_picture_is_cut(world: World) -> None:
    for n in range(20):
        world.show({3: (100 + 12 * n, 180)})
        assert not any(p.slot.shot.any() for p in world.pipeline._passages.open)
    assert world.pipeline.counters.faces_seen == 1


@pytest.mark.parametrize(("cosine", "kept"), [(THRESHOLD - PICTURED - 0.01, 0), (THRESHOLD - PICTURED + 0.01, 1)])
def test_a_picture_is_kept_from_a_fixed_distance_to_the_threshold_on(
    cosine: float, kept: int, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks_like(world, monkeypatch, [cosine])
    for n in range(12):
        world.show({0: (100 + 12 * n, 180)})
    assert world.stated == []
    assert pictures(world) == kept


def test_whoever_is_found_by_a_sudden_good_look_has_the_picture_of_that_look(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks_like(world, monkeypatch, [0.1, 0.9])
    for n in range(30):
        if stated := world.show({0: (100 + 12 * n, 180)}):
            assert stated[0].frame == n
            shot = world.pipeline.shot(stated[0].passage)
            assert shot is not None
            assert shot.any()
            return
        assert pictures(world) == 0
    pytest.fail("nobody was found")
