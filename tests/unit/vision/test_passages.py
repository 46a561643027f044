"""Passages: two people are never one; a person who returns soon is the same; nothing personal outlives a passage."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device.domain.sight import F32, Face, Frame
from device.domain.time import MediaNs
from device.vision.passages import (
    ASKED_MAX,
    GONE_S,
    OTHER_PERSON,
    OTHER_PERSON_UNDOUBTED,
    POOR_OTHER,
    SAME_PERSON,
    SLOTS,
    TELLING,
    TELLING_BY_GEOMETRY,
    USUAL,
    Passage,
    Slot,
)
from device.vision.tracker import Sighting, Track
from tests.unit.vision.passage_scene import GOOD, POOR, Scene

Person = Callable[..., F32]
MakeTrack = Callable[..., Track]
Seconds = Callable[[float], MediaNs]


@pytest.fixture
def scene(person: Person, track_at: MakeTrack, at: Seconds) -> Scene:
    return Scene(person, track_at, at)


def test_a_track_is_a_passage_from_its_first_sighting(scene: Scene) -> None:
    scene.see(0.0, 1, 2)
    scene.see(0.1, 1, 2)
    assert scene.open == [1, 2]
    assert scene.passages.of(scene.track(1)) is not scene.passages.of(scene.track(2))


def test_templates_of_one_person_are_fused_in_one_passage(scene: Scene, person: Person) -> None:
    scene.see(0.0, 1)
    found = [scene.look(0.1 * n, 1, person(1, like=9, cosine=0.2 * n)) for n in range(3)]
    assert found[0] is found[1] is found[2]
    assert found[0] is not None
    assert found[0].templates == 3


def test_a_poor_template_hardly_moves_a_good_one(scene: Scene, person: Person) -> None:
    scene.see(0.0, 1)
    passage = scene.look(0.0, 1, 1)
    scene.look(0.1, 1, person(9), POOR)
    assert passage is not None
    assert passage.likeness(person(1)) > 0.99


def test_two_people_whose_tracks_were_swapped_get_their_own_passages_back(scene: Scene) -> None:
    """After a crossing both tracks are doubtful, and each shows the other's face."""
    scene.see(0.0, 1, 2)
    ann, bob = scene.look(0.0, 1, 1), scene.look(0.0, 2, 2)
    scene.see(0.5, 1, 2)
    scene.track(1).doubtful = scene.track(2).doubtful = True
    assert scene.look(0.5, 1, 2) is bob
    assert scene.look(0.6, 2, 1) is ann
    assert ann is not bob
    assert not scene.track(1).doubtful
    assert scene.passages.of(scene.track(1)) is bob
    assert scene.passages.of(scene.track(2)) is ann


def test_a_doubtful_track_that_shows_a_stranger_leaves_for_a_new_passage(scene: Scene, person: Person) -> None:
    scene.see(0.0, 1)
    ann = scene.look(0.0, 1, 1)
    scene.track(1).doubtful = True
    found = scene.look(0.5, 1, person(2, like=1, cosine=OTHER_PERSON * USUAL - 0.02))
    assert found is not None
    assert ann is not None
    assert found is not ann
    assert ann.templates == found.templates == 1
    assert found.likeness(person(1)) < OTHER_PERSON * USUAL


@pytest.mark.parametrize(("aside", "same"), [(-0.02, False), (0.02, True)])
def test_a_track_in_no_doubt_that_shows_an_utter_stranger_leaves_too(
    aside: float, same: bool, scene: Scene, person: Person
) -> None:
    scene.see(0.0, 1)
    ann = scene.look(0.0, 1, 1)
    shown = person(2, like=1, cosine=OTHER_PERSON_UNDOUBTED * USUAL + aside)
    assert (scene.look(0.5, 1, shown) is ann) is same


def test_a_doubt_is_settled_by_the_same_face(scene: Scene, person: Person) -> None:
    scene.see(0.0, 1)
    ann = scene.look(0.0, 1, 1)
    scene.track(1).doubtful = True
    assert scene.look(0.5, 1, person(2, like=1, cosine=OTHER_PERSON * USUAL + 0.02)) is ann
    assert not scene.track(1).doubtful


def test_a_poor_template_that_is_clearly_like_its_passage_settles_a_doubt(scene: Scene, person: Person) -> None:
    scene.see(0.0, 1)
    ann = scene.look(0.0, 1, 1)
    scene.track(1).doubtful = True
    assert scene.look(0.5, 1, person(2, like=1, cosine=OTHER_PERSON * USUAL + 0.01), POOR) is ann
    assert not scene.track(1).doubtful


def test_a_template_too_poor_to_settle_a_doubt_is_used_for_nothing(scene: Scene, person: Person) -> None:
    scene.see(0.0, 1)
    ann = scene.look(0.0, 1, 1)
    assert ann is not None
    scene.track(1).doubtful = True
    turned = person(2, like=1, cosine=POOR_OTHER + 0.02)
    for _ in range(ASKED_MAX - 1):
        assert scene.look(0.5, 1, turned, POOR) is None
        assert scene.track(1).doubtful
    assert scene.look(0.6, 1, turned, POOR) is None
    assert not scene.track(1).doubtful  # dropped, and the poor templates with it
    assert ann.templates == 1


def test_poor_templates_that_are_utterly_unlike_in_a_row_are_somebody_else(scene: Scene) -> None:
    scene.see(0.0, 1)
    ann = scene.look(0.0, 1, 1)
    scene.track(1).doubtful = True
    found = [scene.look(0.5, 1, 2, POOR) for _ in range(ASKED_MAX)]
    assert found[:-1] == [None] * (ASKED_MAX - 1)
    assert found[-1] is not None
    assert found[-1] is not ann


def test_a_person_whose_templates_vary_is_given_more_room_than_one_whose_do_not(scene: Scene, person: Person) -> None:
    """The limit is a share of what is usual in the passage, not a number for everybody."""
    between = person(9, like=1, cosine=0.44)
    for track, aside, stays in ((1, 0.65, True), (2, 0.99, False)):
        scene.see(track, track)
        passage = scene.look(track, track, 1)
        assert passage is not None
        for n in range(6):
            scene.look(track, track, person(20 + n, like=1, cosine=aside))
        scene.track(track).doubtful = True
        assert (scene.look(track, track, between) is passage) is stays
        scene.see(track + 0.5, lost=[track])
        scene.end(track + 2 * GONE_S)


@pytest.mark.parametrize(("telling", "same"), [(TELLING, False), (TELLING_BY_GEOMETRY, True)])
def test_where_quality_is_geometrys_alone_an_unlike_template_of_a_middling_shot_never_joins_the_passage(
    telling: float, same: bool, person: Person, track_at: MakeTrack, at: Seconds
) -> None:
    scene = Scene(person, track_at, at, telling)
    scene.see(0.0, 1)
    ann = scene.look(0.0, 1, 1)
    scene.track(1).doubtful = True
    found = scene.look(0.5, 1, scene._person(2, like=1, cosine=POOR_OTHER + 0.02), 0.6)
    assert (found is None) is same, "nothing is made of it, or a passage of its own"
    assert found is not ann
    scene.track(1).doubtful = True
    found = scene.look(0.9, 1, 3, TELLING_BY_GEOMETRY)
    assert found is not None
    assert found is not ann


def test_every_doubt_is_asked_about_anew(scene: Scene, person: Person) -> None:
    """A doubt that was dropped earlier must not use up the questions of the next one."""
    scene.see(0.0, 1)
    scene.look(0.0, 1, 1)
    for _ in range(2):
        scene.track(1).doubtful = True
        asked = 0
        while scene.track(1).doubtful:
            assert scene.look(0.5, 1, person(2, like=1, cosine=POOR_OTHER + 0.02), POOR) is None
            asked += 1
        assert asked == ASKED_MAX


def test_a_person_who_returns_from_behind_a_pillar_within_2_seconds_is_the_same_passage(
    scene: Scene, person: Person
) -> None:
    scene.see(0.0, 1)
    ann = scene.look(0.0, 1, 1)
    scene.see(1.1, lost=[1])
    scene.see(GONE_S, 2)
    back = scene.look(GONE_S, 2, person(2, like=1, cosine=SAME_PERSON + 0.01))
    assert back is ann
    assert scene.open == [1]
    assert scene.passages.of(scene.track(2)) is ann
    assert scene.end(2 * GONE_S) == []


def test_a_person_who_returns_after_more_than_2_seconds_is_a_new_passage(scene: Scene) -> None:
    scene.see(0.0, 1)
    scene.look(0.0, 1, 1)
    scene.see(1.1, lost=[1])
    assert scene.end(GONE_S) == []
    assert scene.end(GONE_S + 0.01) == [1]
    scene.see(GONE_S + 0.1, 2)
    back = scene.look(GONE_S + 0.1, 2, 1)
    assert back is not None
    assert (back.id, back.templates) == (2, 1)


def test_somebody_else_from_behind_the_pillar_is_a_new_passage(scene: Scene, person: Person) -> None:
    scene.see(0.0, 1)
    ann = scene.look(0.0, 1, 1)
    scene.see(1.1, lost=[1])
    scene.see(1.5, 2)
    assert scene.look(1.5, 2, person(2, like=1, cosine=SAME_PERSON - 0.01)) is not ann
    assert scene.open == [1, 2]


def test_twins_in_view_together_stay_two_passages(scene: Scene, person: Person) -> None:
    scene.see(0.0, 1, 2)
    ann = scene.look(0.0, 1, 1)
    assert scene.look(0.0, 2, person(2, like=1, cosine=0.95)) is not ann
    assert len(scene.open) == 2


def test_a_poor_first_template_rejoins_when_it_is_like_enough_all_the_same(scene: Scene, person: Person) -> None:
    scene.see(0.0, 1)
    ann = scene.look(0.0, 1, 1)
    scene.see(1.1, lost=[1])
    scene.see(1.5, 2, 3)
    assert scene.look(1.5, 2, person(2, like=1, cosine=SAME_PERSON - 0.05), POOR) is not ann
    assert scene.look(1.5, 3, person(3, like=1, cosine=SAME_PERSON + 0.05), POOR) is ann


def _alerted_then_hidden(scene: Scene, second: F32, person: Person) -> tuple[Passage, Passage]:
    """A passage that was alerted for entry 0 goes out of view, and a second one shows `second` a second later."""
    scene.see(0.0, 1)
    first = scene.look(0.0, 1, person(1))
    assert first is not None
    first.alerted_entry = 0
    scene.see(1.0, 2)
    later = scene.look(1.0, 2, second)
    assert later is not None
    assert later is not first
    return first, later


def test_a_passage_like_an_alerted_one_just_out_of_view_carries_that_one_on(scene: Scene, person: Person) -> None:
    """Too unlike for rule 2, like enough once both match one entry."""
    first, later = _alerted_then_hidden(scene, person(2, like=1, cosine=0.45), person)
    assert scene.passages.alerted_before(later, 0) is first
    plain = np.array([(0.5, 0.2, 0.0), (0.1, 0.2, 0.0)]), np.array([(0.4, 0.3, 0.6), (0.3, 0.0, 0.0)])
    for kind, step in ((0, 0.0), (1, 0.1)):
        first.slot.best_looks[kind], later.slot.best_looks[kind] = plain[0] + step, plain[1] + step
        first.slot.volunteer_looks[kind], later.slot.volunteer_looks[kind] = plain[0][:, :2], plain[1][:, :2]
    later.slot.shot[:], later.best_face, later.shot_quality = 7, scene.track(2).face, 1.0
    later.best_frame_size = (640, 360)
    scene.passages.merge(first, later)
    both = np.array([(0.5, 0.3, 0.6), (0.4, 0.2, 0.0)])
    for kind, step in ((0, 0.0), (1, 0.1)):
        assert np.allclose(first.slot.best_looks[kind], both + step), "the two best of both, of each kind"
        assert np.allclose(first.slot.volunteer_looks[kind], both[:, :2])
    assert (first.slot.shot == 7).all(), "it had no picture"
    assert (first.best_face, first.shot_quality, first.best_frame_size) == (later.best_face, 1.0, (640, 360))
    scene.see(1.1, 2)
    assert scene.passages.of(scene.track(2)) is first
    assert (first.templates, first.last_seen) == (2, 1_100_000_000)
    assert later.alerted_entry is None


def test_an_alert_never_swallows_somebody_unlike_or_another_entry_or_somebody_else_in_view(
    scene: Scene, person: Person
) -> None:
    _, later = _alerted_then_hidden(scene, person(2, like=1, cosine=0.2), person)
    assert scene.passages.alerted_before(later, 0) is None
    later.slot.fused[:] = person(1)
    assert scene.passages.alerted_before(later, 1) is None
    scene.see(1.1, 1, 2)
    assert scene.passages.alerted_before(later, 0) is None


def test_a_passage_lasts_while_its_track_is_seen(scene: Scene) -> None:
    scene.see(0.0, 1)
    for n in range(1, 10):
        scene.see(float(n), 1)
        assert scene.end(n + 0.5) == []
    assert scene.end(9 + GONE_S + 0.01) == [1]


def test_closing_wipes_the_slot_and_gives_it_back(scene: Scene, face_at: Callable[..., Face]) -> None:
    scene.see(0.0, 1)
    passage = scene.look(0.0, 1, 1)
    assert passage is not None
    slot = passage.slot
    slot.shot[:] = 99
    slot.best_looks[:] = slot.volunteer_looks[:] = 0.4
    slot.appearance.rows[:] = 1
    best: Face | None = face_at(1, 2)
    passage.best_face = best
    scene.end(3.0)
    assert len(slot.buffers) == 7
    assert not any(buffer.any() for buffer in slot.buffers)
    assert passage.best_face is None
    assert any(free is slot for free in scene.passages._free)


@pytest.mark.parametrize("extra", [1, 2, 30])
def test_more_people_than_slots_at_once_are_survived_and_the_first_keep_theirs(extra: int, scene: Scene) -> None:
    crowd = list(range(1, SLOTS + extra + 1))
    for n in range(3):
        scene.see(0.1 * n, *crowd)
        assert len(scene.open) == SLOTS
    held = [n for n in crowd if scene.passages.of(scene.track(n)) is not None]
    assert held == crowd[:SLOTS]


def test_newcomers_take_the_place_of_people_just_gone_the_unalerted_and_longest_unseen_first(scene: Scene) -> None:
    scene.see(0.0, *range(1, SLOTS + 1))
    alerted = scene.passages.of(scene.track(1))
    assert alerted is not None
    alerted.alerted_entry = 5
    scene.see(0.5, *range(41, SLOTS + 1))
    scene.see(0.6, *range(41, SLOTS + 1), 201, 202)
    assert len(scene.open) == SLOTS
    assert [n for n in range(1, 6) if n not in scene.open] == [2, 3]
    assert scene.passages.of(scene.track(201)) is not None
    assert scene.passages.of(scene.track(202)) is not None


def test_a_passage_that_gave_way_and_is_seen_again_begins_anew(scene: Scene) -> None:
    scene.see(0.0, *range(1, SLOTS + 1))
    scene.see(0.1, *range(2, SLOTS + 1), 201)
    assert 1 not in scene.open
    scene.see(0.2, *range(3, SLOTS + 1), 201, 1)
    assert scene.passages.of(scene.track(1)) is not None


@pytest.mark.slow
@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 10_000), arrivals=st.integers(1, 60))
def test_no_crowd_makes_more_than_the_slots_or_leaves_a_template_in_a_free_one(
    seed: int, arrivals: int, person: Person, track_at: MakeTrack, at: Seconds
) -> None:
    random, scene, in_view, newest = np.random.default_rng(seed), Scene(person, track_at, at), [0], 0
    for n in range(30):
        now = 0.2 * n
        ended = [t for t in in_view if random.random() < 0.25]
        newcomers = list(range(newest + 1, newest + 1 + int(random.integers(0, arrivals + 1))))
        newest += len(newcomers)
        in_view = [t for t in in_view if t not in ended] + newcomers
        random.shuffle(in_view)
        scene.see(now, *in_view, lost=ended)
        for track in in_view[:5]:
            if scene.passages.of(scene.track(track)) is not None:
                scene.track(track).doubtful = bool(random.random() < 0.3)
                scene.look(now, track, track % 120, GOOD if random.random() < 0.7 else POOR)
        scene.end(now)
        assert len({passage.id for passage in scene.passages.open}) == len(scene.open) <= SLOTS + 5
        free = scene.passages._free
        assert len(free) + len(scene.open) <= SLOTS + 5
        assert not any(slot.fused.any() or slot.shot.any() for slot in free)
        held = [id(slot) for slot in (*free, *(passage.slot for passage in scene.passages.open))]
        assert len(set(held)) == len(held)


def test_likeness_to_nobody_is_0(person: Person) -> None:
    assert Passage(1, Slot.of(128), MediaNs(0), MediaNs(0)).likeness(person(1)) == 0.0


def test_somebody_else_in_the_same_place_is_doubted_and_the_same_face_is_not(
    scene: Scene, face_at: Callable[..., Face], frame_of: Callable[..., Frame]
) -> None:
    """No gap, no movement: only the appearance differs (a cut, slides, a queue)."""
    rng = np.random.default_rng(1)
    ann, ben = (rng.integers(40, 200, (200, 200), np.uint8) for _ in range(2))
    noisy = np.clip(ann.astype(int) + rng.integers(-10, 10, ann.shape), 0, 255).astype(np.uint8)
    sighting = Sighting(scene.track(1), face_at(100, 100, 120), False)
    scene.see(0.0, 1)
    for look, doubtful in ((ann, False), (noisy, False), (ben, True)):
        scene.passages.note_appearance(frame_of(look), [sighting])
        assert sighting.track.doubtful is doubtful


def test_what_is_behind_somebody_is_not_his_appearance(
    scene: Scene, face_at: Callable[..., Face], frame_of: Callable[..., Frame]
) -> None:
    """The middle of the box alone is compared: a doubt costs a look."""
    rng = np.random.default_rng(2)
    ann, ben = (rng.integers(40, 200, (200, 200), np.uint8) for _ in range(2))
    edged = ben.copy()
    edged[58:142, 68:132] = ann[58:142, 68:132]  # the middle is hers, what surrounds it is not
    sighting = Sighting(scene.track(1), face_at(100, 100, 120), False)
    scene.see(0.0, 1)
    for look, doubtful in ((ann, False), (edged, False), (ann, False), (ben, True)):
        scene.passages.note_appearance(frame_of(look), [sighting])
        assert sighting.track.doubtful is doubtful
