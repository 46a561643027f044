"""What an observer learns of the pipeline's steps, and that it changes none."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from device.domain.sight import Face
from device.recognition.observation import Observation
from device.vision.observer import Look, LookOutcome, NoLook, Weighed
from tests.unit.recognition.conftest import World, unit

MakeWorld = Callable[..., Any]


class Notes:
    """Keeps every fact."""

    def __init__(self) -> None:
        self.faces: list[tuple[int, int]] = []
        self.passages: set[int | None] = set()
        self.no_looks: list[NoLook] = []
        self.looks: list[Look] = []
        self.decisions: list[Weighed] = []
        self.joins: list[tuple[int, int]] = []
        self.closed: list[int] = []

    def detected(self, frame: int, faces: Sequence[Face]) -> None:
        self.faces.append((frame, len(faces)))

    def followed(self, frame: int, track: int, passage: int | None, face: Face) -> None:
        self.passages.add(passage)

    def not_looked(self, frame: int, track: int, why: NoLook) -> None:
        self.no_looks.append(why)

    def looked(self, look: Look) -> None:
        self.looks.append(look)

    def weighed(self, decision: Weighed) -> None:
        self.decisions.append(decision)

    def joined(self, frame: int, earlier: int, later: int) -> None:
        self.joins.append((earlier, later))

    def ended(self, passage: int) -> None:
        self.closed.append(passage)


def test_every_face_look_decision_and_end_is_reported(world_of: MakeWorld) -> None:
    notes = Notes()
    world = world_of(observer=notes)
    world.walk(0, 1, steps=10)
    world.pipeline.finish()
    assert notes.faces == [(frame, 2) for frame in range(10)]
    kept = [look for look in notes.looks if look.outcome is LookOutcome.KEPT]
    assert len(kept) == world.pipeline.counters.templates
    assert {round(look.score or 0.0, 3) for look in kept} == {1.0, 0.0}
    stated = [weighed for weighed in notes.decisions if weighed.stated]
    assert [(weighed.entry, weighed.threshold) for weighed in stated] == [("entry-0", 0.5)]
    assert sorted(notes.closed) == sorted(p for p in notes.passages if p is not None) == [1, 2]
    assert len(notes.looks) + len(notes.no_looks) == 20  # each face of each frame is looked at, or there is a reason


def test_a_look_without_a_result_has_a_reason(world_of: MakeWorld) -> None:
    notes = Notes()
    world = world_of(observer=notes)
    world.embedder.raw_lengths[0] = 1.0
    world.walk(0, steps=3)
    assert {look.outcome for look in notes.looks} == {LookOutcome.RAW_LENGTH}
    assert all(look.settled is None and look.score == pytest.approx(1.0) for look in notes.looks)


def test_a_face_below_the_limit_has_its_size_as_the_reason(world_of: MakeWorld) -> None:
    notes = Notes()
    world = world_of(observer=notes, face_px=24)
    world.walk(0, steps=4)
    assert not notes.looks
    assert set(notes.no_looks) == {NoLook.SIZE}


def test_a_pipeline_states_the_same_with_and_without_an_observer(world_of: MakeWorld) -> None:
    one, other = world_of(listed=(0, 3), observer=Notes()), world_of(listed=(0, 3))
    for world in (one, other):
        world.walk(0, 1, 3, steps=20)
        world.pipeline.finish()

    def facts(world: World) -> list[tuple[Any, ...]]:
        return [(c.passage, c.revision, c.entry_ref, c.score, c.frame) for c in world.stated]

    assert facts(one) == facts(other)
    assert one.pipeline.counters == other.pipeline.counters


def test_a_look_that_the_screen_ends_is_reported_without_a_template(world_of: MakeWorld) -> None:
    notes = Notes()
    world = world_of(screened=True, observer=notes)
    world.walk(1, steps=10)
    assert {look.outcome for look in notes.looks} == {LookOutcome.SCREENED}
    assert {(look.settled, look.score) for look in notes.looks} == {(None, None)}


@pytest.mark.parametrize(
    ("templates", "quality", "outcome"),
    [
        (0, None, LookOutcome.RAW_LENGTH),
        (0, 0.8, LookOutcome.SEEN_TWICE),
        (1, 0.8, LookOutcome.TOO_POOR_FOR_DOUBT),
    ],
)
def test_a_template_that_is_used_for_nothing_has_its_reason(
    templates: int, quality: float | None, outcome: LookOutcome, world: World
) -> None:
    """Beside a template that its passage has it was too poor; of a passage without one it is a face found twice."""
    notes = Notes()
    world.show({0: (200, 180)})
    passage, sighting = world.pipeline._latest[0][0]
    passage.templates = templates
    observation = Observation(notes, world.pipeline._sight.gallery, ["entry-0"])
    observation.template(passage, sighting, unit(0), None, quality)
    assert [look.outcome for look in notes.looks] == [outcome]
