"""Tracks: which detections are one moving face, and when geometry had better say that it is not sure."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device.domain.sight import Face
from device.domain.time import MediaNs
from device.vision.tracker import LOST_S, START_SCORE, Sighting, Tracker

MakeFace = Callable[..., Face]
Seconds = Callable[[float], MediaNs]
STEP_S = 0.08  # every second frame at 25 Hz, as the pipeline looks


def seen(tracker: Tracker, at: MediaNs, faces: Iterable[Face]) -> list[Sighting]:
    return tracker.update(at, list(faces))[0]


def ids(sightings: Iterable[Sighting]) -> list[int]:
    return [sighting.track.id for sighting in sightings]


@pytest.fixture
def tracker() -> Tracker:
    return Tracker()


@pytest.mark.parametrize("speed", [0.0, 100.0, 300.0, 480.0])
def test_a_straight_walk_is_one_track(speed: float, tracker: Tracker, face_at: MakeFace, at: Seconds) -> None:
    """80 px high; 480 px a second is six face heights, a brisk walk across a near camera."""
    for n in range(25):
        found = seen(tracker, at(n * STEP_S), [face_at(60 + speed * n * STEP_S, 200)])
        assert ids(found) == [1]
        assert found[0].new is (n == 0)
        assert not found[0].track.doubtful


def test_two_who_cross_keep_their_own_and_are_doubtful_afterwards(
    tracker: Tracker, face_at: MakeFace, at: Seconds
) -> None:
    for n in range(40):
        right, left = 100 + 12 * n, 580 - 12 * n
        found = {s.track.id: s for s in seen(tracker, at(n * STEP_S), [face_at(right, 200), face_at(left, 208)])}
        if n == 0:
            first, second = sorted(found, key=lambda i: found[i].track.centre[0])
        assert found[first].track.centre[0] == pytest.approx(right)
        assert found[second].track.centre[0] == pytest.approx(left)
    assert found[first].track.doubtful
    assert found[second].track.doubtful


def test_two_who_never_meet_are_never_doubtful(tracker: Tracker, face_at: MakeFace, at: Seconds) -> None:
    for n in range(30):
        found = seen(tracker, at(n * STEP_S), [face_at(100 + 12 * n, 100), face_at(580 - 12 * n, 400)])
        assert not any(s.track.doubtful or s.track.near for s in found)


def test_one_hidden_by_the_other_for_a_moment_is_found_again(tracker: Tracker, face_at: MakeFace, at: Seconds) -> None:
    """The one behind is not detected while the boxes overlap by more than half."""
    for n in range(40):
        right, left = 100 + 12 * n, 580 - 12 * n
        faces = [face_at(right, 200)] + ([face_at(left, 204)] if abs(right - left) > 40 else [])
        found = seen(tracker, at(n * STEP_S), faces)
    assert ids(sorted(found, key=lambda s: s.track.centre[0])) == [2, 1]
    assert all(s.track.doubtful for s in found)
    assert tracker.started == 2


@pytest.mark.parametrize(("gap", "doubtful"), [(0.16, False), (0.4, True), (0.8, True)])
def test_a_short_occlusion_keeps_the_track_and_a_long_one_makes_it_doubtful(
    gap: float, doubtful: bool, tracker: Tracker, face_at: MakeFace, at: Seconds
) -> None:
    for n in range(10):
        seen(tracker, at(n * STEP_S), [face_at(100 + 8 * n, 200)])
    back = 9 * STEP_S + gap
    (found,) = seen(tracker, at(back), [face_at(100 + 8 * back / STEP_S, 200)])
    assert found.track.id == 1
    assert found.track.doubtful is doubtful


def test_a_face_that_vanishes_is_lost_once_and_returns_as_another_track(
    tracker: Tracker, face_at: MakeFace, at: Seconds
) -> None:
    for n in range(5):
        seen(tracker, at(n * STEP_S), [face_at(300, 200)])
    last = 4 * STEP_S
    assert tracker.update(at(last + LOST_S), [])[1] == []
    sightings, lost = tracker.update(at(last + LOST_S + 0.01), [face_at(300, 200)])
    assert [track.id for track in lost] == [1]
    assert ids(sightings) == [2]
    assert tracker.update(at(last + LOST_S + 0.05), [])[1] == []


def test_a_weak_detection_continues_a_track_and_never_starts_one(
    tracker: Tracker, face_at: MakeFace, at: Seconds
) -> None:
    weak = START_SCORE - 0.01
    assert seen(tracker, at(0), [face_at(300, 200, score=weak)]) == []
    assert ids(seen(tracker, at(0.1), [face_at(300, 200, score=START_SCORE)])) == [1]
    assert ids(seen(tracker, at(0.2), [face_at(303, 200, score=weak), face_at(500, 200, score=weak)])) == [1]
    assert tracker.started == 1


@settings(deadline=None, max_examples=60)
@given(
    gaps=st.lists(st.floats(0.02, 0.3), min_size=5, max_size=40),
    speed=st.floats(0, 240),
    down=st.floats(-80, 80),
)
def test_a_walk_at_any_frame_times_is_one_track(
    gaps: list[float], speed: float, down: float, face_at: MakeFace, at: Seconds
) -> None:
    tracker, now = Tracker(), 0.0
    for gap in [0.0, *gaps]:
        now += gap
        assert ids(seen(tracker, at(now), [face_at(100 + speed * now, 500 + down * now)])) == [1]


@settings(deadline=None, max_examples=60)
@given(closer=st.floats(0.7, 1.6), steps=st.integers(8, 30))
def test_a_face_that_grows_or_shrinks_on_its_way_is_one_track(
    closer: float, steps: int, face_at: MakeFace, at: Seconds
) -> None:
    tracker = Tracker()
    for n in range(steps):
        height = 60 * closer ** (n * STEP_S)
        (found,) = seen(tracker, at(n * STEP_S), [face_at(300, 200, height)])
        assert found.track.id == 1
        assert not found.track.doubtful


def test_a_face_of_quite_another_size_in_the_same_place_is_another_track(
    tracker: Tracker, face_at: MakeFace, at: Seconds
) -> None:
    for n in range(5):
        seen(tracker, at(n * STEP_S), [face_at(300, 200, 60)])
    assert ids(seen(tracker, at(5 * STEP_S), [face_at(300, 200, 120)])) == [2]


def test_a_sudden_change_of_size_is_doubtful(tracker: Tracker, face_at: MakeFace, at: Seconds) -> None:
    for n in range(5):
        seen(tracker, at(n * STEP_S), [face_at(300, 200, 60)])
    (found,) = seen(tracker, at(5 * STEP_S), [face_at(300, 200, 85)])
    assert found.track.id == 1
    assert found.track.doubtful


def test_a_restart_loses_everybody_and_reuses_no_number(tracker: Tracker, face_at: MakeFace, at: Seconds) -> None:
    seen(tracker, at(0), [face_at(100, 100), face_at(400, 100)])
    assert sorted(track.id for track in tracker.restart()) == [1, 2]
    sightings, lost = tracker.update(at(0.1), [face_at(100, 100), face_at(400, 100)])
    assert ids(sightings) == [3, 4]
    assert lost == []


def test_each_face_belongs_to_one_track_and_each_track_to_one_face(
    tracker: Tracker, face_at: MakeFace, at: Seconds
) -> None:
    crowd = [face_at(100 + 45 * n, 200 + 7 * (n % 3)) for n in range(10)]
    for n in range(6):
        found = seen(tracker, at(n * STEP_S), crowd)
        assert len(set(ids(found))) == len(found) == 10
        assert len({id(s.face) for s in found}) == 10


LANES = st.lists(st.tuples(st.floats(40, 120), st.floats(-300, 300)), min_size=2, max_size=4)


@settings(deadline=None, max_examples=80)
@given(lanes=LANES, seed=st.integers(0, 10_000), missed=st.floats(0, 0.5), step=st.floats(0.06, 0.2))
def test_a_track_never_jumps_between_people_who_never_come_near(
    lanes: list[tuple[float, float]], seed: int, missed: float, step: float, face_at: MakeFace, at: Seconds
) -> None:
    """Everybody walks in a lane of his own, four face heights from the next, jittering, now and then undetected."""
    random, tracker = np.random.default_rng(seed), Tracker()
    depth = np.cumsum([0.0, *[4 * max(a[0], b[0]) for a, b in itertools.pairwise(lanes)]])
    lane_of_track: dict[int, int] = {}
    for n in range(30):
        shown = [lane for lane in range(len(lanes)) if random.random() >= missed]
        random.shuffle(shown)
        faces = []
        for lane in shown:
            height, speed = lanes[lane]
            jitter = random.normal(0, 0.03 * height, 2).clip(-0.08 * height, 0.08 * height)
            faces.append(face_at(1000 + speed * n * step + jitter[0], 300 + depth[lane] + jitter[1], height))
        for sighting in seen(tracker, at(n * step), faces):
            lane = shown[next(i for i, face in enumerate(faces) if face is sighting.face)]
            assert lane_of_track.setdefault(sighting.track.id, lane) == lane


def test_memory_is_bounded_by_who_was_seen_within_a_second(tracker: Tracker, face_at: MakeFace, at: Seconds) -> None:
    for n in range(200):
        seen(tracker, at(n * 0.5), [face_at(10 + 97 * (n % 20), 300)])
        assert len(tracker._tracks) <= 3
