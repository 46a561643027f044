"""Damaged pictures: searched where no whole ones come, never a probe where there is one; the alert states it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from device.domain.sight import Damage, Frame
from device.recognition.pipeline import DAMAGED_AFTER_NS, LOOK_EVERY_NS
from tests.unit.recognition.conftest import World

WHERE = {0: (300, 180)}


def damaged(frame: Frame, damage: Damage = Damage.PICTURE) -> Frame:
    return replace(frame, damage=damage)


def show(world: World, damage: Damage, people: dict[int, tuple[float, float]] | None = None) -> None:
    frame = damaged(world.frame(WHERE if people is None else people), damage)
    world.stated += world.pipeline.process(frame, world.pipeline.look(frame) or [])
    world.frames += 1
    world.now_ms += 80


def test_a_damaged_picture_is_passed_over_where_whole_ones_come(world: World) -> None:
    due = []
    for n in range(20):
        world.now_ms = 40.0 * n
        damage = Damage.PICTURE if n in (4, 5, 10) else Damage.NONE
        due.append((damage, world.pipeline.due(damaged(world.frame({}), damage))))
    looked_at = [n for n, (_, wanted) in enumerate(due) if wanted]
    assert looked_at == [0, 2, 6, 8, 11, 13, 15, 17, 19], "the next whole one takes its place"


def test_where_every_picture_is_damaged_they_are_searched_all_the_same(world: World) -> None:
    due = 0
    for n in range(50):
        world.now_ms = 40.0 * n
        due += world.pipeline.due(damaged(world.frame({})))
    assert due == 50 * 40_000_000 // DAMAGED_AFTER_NS
    assert DAMAGED_AFTER_NS > LOOK_EVERY_NS


def test_the_probe_is_of_a_whole_picture_where_there_is_one(world: World) -> None:
    show(world, Damage.PICTURE)
    for _ in range(4):
        show(world, Damage.NONE)
    (passage,) = world.pipeline._passages.open
    assert passage.best_damage is Damage.NONE
    for damage in (Damage.REFERENCE, Damage.PICTURE):
        world.detector.score = 0.99  # a better shot, but for the damage
        show(world, damage)
    assert passage.best_damage is Damage.NONE


def test_a_poorer_template_of_a_whole_picture_replaces_one_of_a_damaged_picture(world: World) -> None:
    (passage,) = _passage_with(world, Damage.PICTURE)
    assert not passage.is_better(passage.shot_quality - 0.1, Damage.PICTURE)
    assert passage.is_better(passage.shot_quality - 0.1, Damage.REFERENCE)
    assert passage.is_better(passage.shot_quality - 0.1, Damage.NONE)


def test_an_alert_from_damaged_pictures_is_marked_and_one_from_whole_ones_is_not(
    world_of: Callable[..., World],
) -> None:
    for damage, flag in ((Damage.NONE, False), (Damage.REFERENCE, True), (Damage.PICTURE, True)):
        world = world_of()
        _passage_with(world, damage)
        assert world.stated
        assert {candidate.picture_damaged for candidate in world.stated} == {flag}


def test_an_alert_with_a_damaged_probe_is_revised_when_a_whole_picture_comes(world: World) -> None:
    _passage_with(world, Damage.PICTURE)
    assert [candidate.revision for candidate in world.stated] == [0]
    for n in range(40):
        show(world, Damage.NONE, {0: (300 + n, 180)})
    assert world.stated[-1].revision == 1
    assert world.pipeline._passages.open[0].best_damage is Damage.NONE


def _passage_with(world: World, damage: Damage) -> list[Any]:
    for _ in range(6):
        show(world, damage)
    return list(world.pipeline._passages.open)
