"""A picture is kept only of whoever comes near the threshold (device/vision/decision.py, rule 4)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from device.domain.sight import F32, Face, Frame
from device.domain.time import MediaNs
from device.recognition.build import Listed, gallery_of
from device.vision.decision import PICTURED, Decision
from device.vision.passages import Passage, Slot
from device.vision.quality import quality_of
from tests.unit.recognition.conftest import GOOD, THRESHOLD, World


def pictures(world: World) -> int:
    """Open passages of which a picture is kept."""
    return sum(bool(p.slot.shot.any()) and p.best_face is not None for p in world.pipeline._passages.open)


def looks_like(
    world: World, monkeypatch: pytest.MonkeyPatch, cosines: list[float], lengths: Sequence[float] = (GOOD,)
) -> None:
    """Person 0's likeness to their entry and the raw lengths, look by look; the last one stays."""
    lengths = list(lengths)

    def embed(_frame: Frame, _face: Face, out: F32, *, gated: bool = False) -> float:
        cosine = cosines.pop(0) if len(cosines) > 1 else cosines[0]
        out[:] = 0
        out[0], out[100] = cosine, np.sqrt(1 - cosine**2)
        return lengths.pop(0) if len(lengths) > 1 else lengths[0]

    monkeypatch.setattr(world.front_end, "embed", embed)
    monkeypatch.setattr(world.front_end, "mirror", lambda _frame, _face, _out: None)


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


def test_the_quality_of_an_alert_is_that_of_its_picture(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A good look far below the threshold has no picture; a poorer one decides."""
    looks_like(world, monkeypatch, [0.3, 0.3, 0.72], [13.0, 9.0, 9.0])
    for n in range(20):
        world.show({0: (100 + 8 * n, 180)})
    stated = world.stated[0]
    passage = next(p for p in world.pipeline._passages.open if p.id == stated.passage)
    assert stated.quality == quality_of(passage.shot_quality) < passage.quality


def test_after_an_entry_is_withdrawn_no_picture_is_kept_for_it() -> None:
    """The passage came near it before; nobody else on the list is like it."""
    listed = gallery_of([(str(n), np.eye(1, 128, n, dtype=np.float32)) for n in range(2)])
    decision, passage = Decision(Listed(listed), THRESHOLD), Passage(1, Slot.of(128, 2), MediaNs(0), MediaNs(0))
    template = np.zeros(128, np.float32)
    template[0], template[100] = THRESHOLD - 0.05, np.sqrt(1 - (THRESHOLD - 0.05) ** 2)
    for may_match in (True, False):
        passage.fuse(template, GOOD)
        decision.note_look(passage, template)
        assert decision.weigh(passage) is None
        assert decision.may_match(passage) is may_match
        listed.withdraw(["0"])
