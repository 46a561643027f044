"""Whom a pair's screen has ruled out does not become somebody who is in view elsewhere (passages.py, rule 6)."""

from __future__ import annotations

import pytest

from device.vision.passages import SAME_PERSON
from tests.unit.vision.passage_scene import MakeTrack, Person, Scene, Seconds


@pytest.fixture
def scene(person: Person, track_at: MakeTrack, at: Seconds) -> Scene:
    return Scene(person, track_at, at)


def crossing(scene: Scene) -> None:
    """Person 1 is in view and compared; of track 2 the screen ruled everybody out."""
    scene.see(0.0, 1, 2)
    assert scene.look(0.0, 1, 1) is not None
    other = scene.passages.of(scene.track(2))
    assert other is not None
    other.screened = 1


@pytest.mark.parametrize(("cosine", "used"), [(SAME_PERSON + 0.05, False), (SAME_PERSON - 0.05, True)])
def test_a_first_template_of_somebody_in_sure_view_is_used_for_nothing(
    cosine: float, used: bool, scene: Scene, person: Person
) -> None:
    crossing(scene)
    settled = scene.look(0.1, 2, person(2, like=1, cosine=cosine))
    assert (settled is not None) is used
    other = scene.passages.of(scene.track(2))
    assert other is not None
    assert other.templates == used


def test_after_a_crossing_in_which_both_may_have_changed_places_it_is_that_person(scene: Scene) -> None:
    crossing(scene)
    scene.track(1).doubtful = scene.track(2).doubtful = True
    first = scene.passages.of(scene.track(1))
    assert scene.look(0.1, 2, 1) is first


def test_it_is_that_person_when_they_have_just_gone_out_of_view(scene: Scene) -> None:
    crossing(scene)
    first = scene.passages.of(scene.track(1))
    scene.see(0.2, 2)
    assert scene.look(0.2, 2, 1) is first
    assert len(scene.open) == 2, "whom the screen counted as a face seen must end before it may be forgotten"
    scene.see(3.0, 2)
    assert len(scene.end(3.0)) == 1


def test_nobody_else_is_affected(scene: Scene, person: Person) -> None:
    """Two people alike, neither ruled out by a screen, are two passages as before."""
    scene.see(0.0, 1, 2)
    first = scene.look(0.0, 1, 1)
    second = scene.look(0.0, 2, person(2, like=1, cosine=SAME_PERSON + 0.1))
    assert None not in (first, second)
    assert first is not second
