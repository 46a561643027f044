"""A doubt about identity is answered without a look where a face looks as it did at one of its last templates."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from device.domain.sight import F32, Face, Frame
from device.domain.time import MediaNs
from device.vision.tracker import Sighting, Track
from tests.unit.vision.passage_scene import GOOD, POOR, Scene

Person = Callable[..., F32]
MakeTrack = Callable[..., Track]
Seconds = Callable[[float], MediaNs]


@pytest.fixture
def shown(frame_of: Callable[..., Frame]) -> Callable[[int], Frame]:
    """A frame full of somebody's pattern, in a colour of their own."""

    def make(who: int) -> Frame:
        rng = np.random.default_rng(who)
        y = np.kron(rng.integers(40, 200, (20, 20), np.uint8), np.ones((10, 10), np.uint8))
        u, v = (np.full((100, 100), 128 + sign * (10 + 4 * who), np.uint8) for sign in (-1, 1))
        return frame_of(y, u, v)

    return make


@pytest.fixture
def scene(person: Person, track_at: MakeTrack, at: Seconds) -> Scene:
    return Scene(person, track_at, at)


def test_a_face_as_at_its_last_template_answers_a_doubt_and_anothers_does_not(
    scene: Scene, face_at: Callable[..., Face], shown: Callable[[int], Frame]
) -> None:
    """After a crossing or a gap: who looks as before is not looked at again; without a template nothing is answered."""
    sighting = Sighting(scene.track(1), face_at(100, 100, 120), False)
    scene.see(0.0, 1)
    scene.passages.note_appearance(shown(1), [sighting])
    sighting.track.doubtful = True
    scene.passages.note_appearance(shown(1), [sighting])
    assert sighting.track.doubtful, "no template has told whose face this is"
    scene.look(0.1, 1, 1)
    for who, doubtful in ((1, False), (2, True), (1, False)):
        sighting.track.doubtful = True
        scene.passages.note_appearance(shown(who), [sighting])
        assert sighting.track.doubtful is doubtful


@pytest.mark.parametrize(("cosine", "quality"), [(0.9, POOR), (0.42, GOOD)])
def test_a_template_that_is_poor_or_unlike_its_passage_answers_no_later_doubt(
    cosine: float,
    quality: float,
    scene: Scene,
    person: Person,
    face_at: Callable[..., Face],
    shown: Callable[[int], Frame],
) -> None:
    sighting = Sighting(scene.track(1), face_at(100, 100, 120), False)
    scene.see(0.0, 1)
    scene.passages.note_appearance(shown(1), [sighting])
    scene.look(0.0, 1, 1)
    scene.passages.note_appearance(shown(2), [sighting])
    sighting.track.doubtful = False
    assert scene.look(0.2, 1, person(2, like=1, cosine=cosine), quality) is scene.passages.of(sighting.track)
    sighting.track.doubtful = True
    scene.passages.note_appearance(shown(2), [sighting])
    assert sighting.track.doubtful


def test_who_was_handed_another_track_is_not_doubted_for_that(
    scene: Scene, face_at: Callable[..., Face], shown: Callable[[int], Frame]
) -> None:
    """Two tracks change people; when a template has told so, the next sighting is compared with the right face."""
    sightings = [Sighting(scene.track(n), face_at(100, 100, 120), False) for n in (1, 2)]
    scene.see(0.0, 1, 2)
    for sighting in sightings:
        scene.passages.note_appearance(shown(sighting.track.id), [sighting])
        scene.look(0.0, sighting.track.id, sighting.track.id)
    for sighting, who in zip(sightings, (2, 1), strict=True):
        scene.passages.note_appearance(shown(who), [sighting])
        assert sighting.track.doubtful
    for track, who in ((1, 2), (2, 1)):
        scene.look(0.2, track, who)
        assert not any(passage.reassured for passage in scene.passages.open)
    for sighting, who in zip(sightings, (2, 1), strict=True):
        scene.passages.note_appearance(shown(who), [sighting])
        assert not sighting.track.doubtful
        sighting.track.doubtful = True
        scene.passages.note_appearance(shown(3 - who), [sighting])
        assert sighting.track.doubtful, "the face that the passage had by mistake answers nothing"


def test_somebody_new_in_a_track_is_not_doubted_for_the_face_before(
    scene: Scene, face_at: Callable[..., Face], shown: Callable[[int], Frame]
) -> None:
    """The track is of a new passage: its faces are compared with its own."""
    sighting = Sighting(scene.track(1), face_at(100, 100, 120), False)
    scene.see(0.0, 1)
    scene.passages.note_appearance(shown(1), [sighting])
    first = scene.look(0.0, 1, 1)
    scene.passages.note_appearance(shown(2), [sighting])
    second = scene.look(0.2, 1, 2)
    assert first is not second
    sighting.track.doubtful = True
    scene.passages.note_appearance(shown(2), [sighting])
    assert not sighting.track.doubtful


def test_a_template_that_answers_a_doubt_reassures_until_the_next_look(scene: Scene, person: Person) -> None:
    scene.see(0.0, 1)
    passage = scene.look(0.0, 1, 1)
    assert passage is not None
    assert not passage.reassured
    for doubtful in (True, False, True):
        scene.track(1).doubtful = doubtful
        assert scene.look(0.2, 1, 1) is passage
        assert passage.reassured is doubtful
    scene.track(1).doubtful = True
    other = scene.look(0.4, 1, 2)
    assert other is not None
    assert other is not passage
    assert not other.reassured, "this one is new: nothing is known of it yet"
