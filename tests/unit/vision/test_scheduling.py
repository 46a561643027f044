"""Which shots are worth the recogniser's time."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from device.domain.sight import Face
from device.domain.time import NS_PER_MS, MediaNs
from device.vision.observer import NoLook
from device.vision.passages import Passage, Slot
from device.vision.scheduling import (
    BETTER,
    BETWEEN_LOOKS_NS,
    DOUBLINGS_MAX,
    DOUBT_WAITS_NS,
    MUCH_BETTER,
    NEAR,
    SCREENED_DOUBLINGS_MAX,
    STILL_THE_SAME_NS,
    TEMPLATES_NEAR,
    TEMPLATES_WANTED,
    again_after_ns,
    choose,
    urgency,
)
from device.vision.tracker import Sighting, Track

MakeFace = Callable[..., Face]
MakeTrack = Callable[..., Track]
THRESHOLD = 0.5
NOW = MediaNs(20_000 * NS_PER_MS)


def passage(
    number: int = 1,
    *,
    templates: int = 0,
    since_ms: float | None = None,
    score: float = 0.0,
    geometry: float = 0.5,
    merit: float = 0.71,
    **more: Any,
) -> Passage:
    """A passage that was last looked at `since_ms` ago (None: never), with its best score and its best geometry."""
    made = Passage(number, Slot.of(128), MediaNs(0), NOW, best_score=score, tried_geometry=geometry, **more)
    for _ in range(templates):
        made.fuse(np.ones(128, np.float32), merit)
    made.best_quality = merit if templates else -1.0
    made.attempts = max(made.attempts, templates)
    made.tried_at = None if since_ms is None else MediaNs(NOW - round(since_ms * NS_PER_MS))
    return made


@pytest.fixture
def wanted(track_at: MakeTrack, face_at: MakeFace) -> Callable[..., float | None]:
    """`wanted(passage, geometry)`: the urgency of a shot now; patient and what a track is by keyword."""

    def of(who: Passage, geometry: float = 0.5, *, hits: int = 5, patient: bool = True, **more: Any) -> float | None:
        track = track_at(1, hits=hits, **more)
        shot = Sighting(track, face_at(0, 0), False)
        rated = urgency(who, shot, geometry, NOW, patient=patient, threshold=THRESHOLD)
        return None if isinstance(rated, NoLook) else rated

    return of


Wanted = Callable[..., float | None]


def test_a_first_look_waits_for_a_second_sighting_when_frames_come_fast(wanted: Wanted) -> None:
    assert wanted(passage(), hits=1) is None
    assert wanted(passage(), hits=1, patient=False) is not None
    assert wanted(passage(), hits=2) is not None


@pytest.mark.parametrize("geometry", [0.001, 0.02, 0.17])
def test_nobody_is_refused_for_a_turned_or_small_face(geometry: float, wanted: Wanted) -> None:
    assert wanted(passage(), geometry) is not None
    assert wanted(passage(templates=1, since_ms=200, score=0.3), geometry) is not None
    assert wanted(passage(templates=4, since_ms=200, score=THRESHOLD - 0.1), geometry) is not None


def test_a_person_who_may_still_be_found_is_looked_at_without_limit(wanted: Wanted) -> None:
    assert wanted(passage(templates=40, since_ms=300, score=THRESHOLD - NEAR / 2, attempts=40)) is not None


def test_near_the_threshold_each_detection_pass_is_a_look_for_as_long_as_somebody_usually_stays(wanted: Wanted) -> None:
    assert wanted(passage(templates=30, since_ms=60, score=THRESHOLD - NEAR / 2, attempts=30)) is not None


def test_order_is_first_look_doubt_nearest_to_the_threshold_alerted(wanted: Wanted) -> None:
    best_first = [
        wanted(passage(), 0.2),
        wanted(passage(templates=3, since_ms=160), 1.0, doubtful=True),
        wanted(passage(templates=3, since_ms=160, score=THRESHOLD - 0.05), 0.1),
        wanted(passage(templates=3, since_ms=160, score=THRESHOLD - 0.18), 1.0),
        wanted(passage(screened=1, since_ms=160, score=-1.0), 1.0),
        wanted(passage(templates=3, since_ms=5_000, score=0.9, alerted_entry=1), 1.0),
    ]
    scores = [score for score in best_first if score is not None]
    assert len(scores) == len(best_first)
    assert all(a > b for a, b in itertools.pairwise(scores))


def test_of_two_first_looks_the_better_shot_is_more_urgent(wanted: Wanted) -> None:
    assert (wanted(passage(), 0.8) or 0) > (wanted(passage(), 0.3) or 0)


def test_the_next_frame_is_the_same_picture_again(wanted: Wanted) -> None:
    between_ms = BETWEEN_LOOKS_NS / NS_PER_MS
    assert wanted(passage(templates=1, since_ms=between_ms - 1, score=0.4)) is None
    assert wanted(passage(templates=1, since_ms=between_ms, score=0.4)) is not None


@pytest.mark.parametrize("failures", range(7))
def test_each_failure_doubles_the_wait_up_to_a_limit(failures: int, wanted: Wanted) -> None:
    wait_ms = (BETWEEN_LOOKS_NS << min(failures, DOUBLINGS_MAX)) / NS_PER_MS
    assert wanted(passage(since_ms=wait_ms - 1), failures=failures) is None
    assert wanted(passage(since_ms=wait_ms), failures=failures) is not None


@pytest.mark.parametrize("screened", range(1, 7))
def test_each_look_that_the_screen_ends_doubles_the_wait_up_to_a_limit(screened: int, wanted: Wanted) -> None:
    wait_ms = (BETWEEN_LOOKS_NS << min(screened - 1, SCREENED_DOUBLINGS_MAX)) / NS_PER_MS
    if screened > 1:
        assert wanted(passage(since_ms=wait_ms - 1, screened=screened)) is None
    assert wanted(passage(since_ms=wait_ms, screened=screened)) is not None
    assert wanted(passage(since_ms=160, screened=screened, geometry=0.3), 0.3 * BETTER + 0.01) is not None


def test_whom_the_screen_rules_out_does_not_keep_others_waiting(track_at: MakeTrack, face_at: MakeFace) -> None:
    """Eight strangers whom the screen rules out, one person near the threshold, six seconds, two looks a frame."""

    def looks_at_the_near_one(strangers: int) -> int:
        near = passage(1, templates=1, since_ms=1_000, score=THRESHOLD - NEAR / 2)
        people = [near, *(passage(n) for n in range(2, 2 + strangers))]
        crowd = [(who, Sighting(track_at(who.id, hits=5), face_at(90 * who.id, 300), False)) for who in people]
        looks = 0
        for n in range(100):
            at = MediaNs(NOW + n * 60 * NS_PER_MS)
            for who, _, geometry in choose(crowd, at, (4000, 600), budget=2, patient=True, threshold=THRESHOLD):
                who.tried_at, who.tried_geometry = at, geometry
                looks += who is near
                who.screened += who is not near
                if who is near:
                    who.fuse(np.ones(128, np.float32), 0.7)
        return looks

    assert looks_at_the_near_one(8) >= looks_at_the_near_one(0) - 4  # their first looks go before


def test_failures_do_not_hold_up_a_much_better_shot(wanted: Wanted) -> None:
    assert wanted(passage(since_ms=160, geometry=0.3), 0.31, failures=4) is None
    assert wanted(passage(since_ms=160, geometry=0.3), 0.45, failures=4) is not None
    assert wanted(passage(since_ms=140, geometry=0.3), 0.45, failures=4) is None


def test_a_track_that_keeps_failing_does_not_hold_up_another_one_of_the_same_passage(wanted: Wanted) -> None:
    """A false detection beside a face may belong to that person's passage."""
    near = passage(templates=2, since_ms=160, score=THRESHOLD - NEAR / 2)
    assert wanted(near, failures=5) is None
    assert wanted(near, failures=0) is not None


def test_a_doubt_that_keeps_failing_waits_too(wanted: Wanted) -> None:
    """Rule 4 holds for it as well, or twelve looks in a row at a face that turned away keep the others waiting."""
    assert wanted(passage(templates=1, since_ms=160), doubtful=True) is not None
    assert wanted(passage(templates=1, since_ms=160), doubtful=True, failures=3) is None


@pytest.mark.parametrize(
    ("geometry", "near", "reassured", "waits"),
    [
        (0.5, False, False, False),
        (0.36, False, False, False),
        (0.34, False, False, True),  # half hidden
        (0.5, True, False, True),  # two faces are still close: who is who shows when they part
        (0.5, False, True, True),  # the last look answered a doubt
    ],
)
def test_a_doubt_that_a_look_can_hardly_settle_waits_longer(
    geometry: float, near: bool, reassured: bool, waits: bool, wanted: Wanted
) -> None:
    def asked(since_ms: float) -> bool:
        who = passage(templates=3, since_ms=since_ms, reassured=reassured)
        return wanted(who, geometry, doubtful=True, near=near) is not None

    assert not asked(BETWEEN_LOOKS_NS / NS_PER_MS - 1)
    assert asked(BETWEEN_LOOKS_NS / NS_PER_MS) is not waits
    assert asked(DOUBT_WAITS_NS / NS_PER_MS - 1) is not waits
    assert asked(DOUBT_WAITS_NS / NS_PER_MS)


def test_a_doubt_that_waits_holds_up_no_other_look(wanted: Wanted) -> None:
    """Somebody near the threshold, or without a template, is looked at as if there were no doubt."""
    near = passage(templates=3, since_ms=60, score=THRESHOLD - NEAR / 2, reassured=True)
    assert wanted(near, doubtful=True) is not None
    assert wanted(passage(since_ms=160), 0.1, doubtful=True, near=True) is not None


@pytest.mark.parametrize(
    ("below", "wait_ms", "later_ms"),
    [(-0.2, 60, 300), (0.05, 60, 300), (0.10, 150, 300), (0.17, 450, 900), (0.30, 900, 1800), (1.4, 900, 1800)],
)
def test_the_further_below_the_threshold_the_later_the_next_look(
    below: float, wait_ms: float, later_ms: float, wanted: Wanted
) -> None:
    enough = TEMPLATES_NEAR if below <= NEAR else TEMPLATES_WANTED
    for looks, wait in ((enough - 1, wait_ms), (enough, later_ms)):
        score = THRESHOLD - below
        assert wanted(passage(templates=looks, since_ms=wait, score=score)) is not None
        assert wanted(passage(templates=looks, since_ms=wait - 1, score=score)) is None


@given(below=st.floats(-1, 2), more=st.floats(0, 1), templates=st.integers(0, 50))
def test_nobody_waits_for_two_seconds_and_nobody_nearer_waits_longer(below: float, more: float, templates: int) -> None:
    nearer, further = again_after_ns(below, templates), again_after_ns(min(below + more, 2.0), templates)
    assert nearer <= further < 2_000 * NS_PER_MS
    if templates != 1:
        assert nearer <= again_after_ns(below, templates + 1)


@pytest.mark.parametrize(("score", "wait_ms"), [(THRESHOLD - 0.2, 150), (THRESHOLD - 0.3, 450)])
def test_the_second_look_is_soon_unless_the_first_scores_far_below_the_threshold(
    score: float, wait_ms: float, wanted: Wanted
) -> None:
    assert wanted(passage(templates=1, since_ms=wait_ms, score=score)) is not None
    assert wanted(passage(templates=1, since_ms=wait_ms - 1, score=score)) is None


@pytest.mark.parametrize(("score", "better"), [(THRESHOLD - 0.19, BETTER), (THRESHOLD - 0.3, MUCH_BETTER)])
def test_a_clearly_better_shot_does_not_wait_its_turn(score: float, better: float, wanted: Wanted) -> None:
    def again(ratio: float, since_ms: float) -> bool:
        return wanted(passage(templates=3, since_ms=since_ms, score=score), 0.5 * ratio) is not None

    assert again(better + 0.01, 150)
    assert not again(better + 0.01, 149)
    assert not again(better - 0.01, 150)


def test_an_alerted_person_is_looked_at_for_a_better_shot_and_at_intervals(wanted: Wanted) -> None:
    still_ms = STILL_THE_SAME_NS / NS_PER_MS
    for ratio, since_ms, due in ((1.0, still_ms, True), (1.0, still_ms - 1, False), (BETTER + 0.01, 160, True)):
        who = passage(templates=3, since_ms=since_ms, score=0.9, alerted_entry=7)
        assert (wanted(who, 0.5 * ratio) is not None) is due


def test_a_good_shot_is_not_waited_with_even_where_frames_come_fast(track_at: MakeTrack, face_at: MakeFace) -> None:
    for height, looks in ((120, 1), (36, 0)):
        runner = Sighting(track_at(1, hits=1), face_at(600, 300, height), True)
        chosen = choose([(passage(1), runner)], NOW, (4000, 600), budget=2, patient=True, threshold=THRESHOLD)
        assert len(chosen) == looks


@pytest.mark.parametrize("budget", [1, 2, 5])
def test_a_crowd_gets_no_more_looks_a_frame_than_the_budget(
    budget: int, track_at: MakeTrack, face_at: MakeFace
) -> None:
    crowd = [
        (passage(n), Sighting(track_at(n, hits=5), face_at(100 * n, 300, 30 + 5 * n), False)) for n in range(1, 21)
    ]
    chosen = choose(crowd, NOW, (4000, 600), budget=budget, patient=True, threshold=THRESHOLD)
    assert [who.id for who, _, _ in chosen] == list(range(20, 20 - budget, -1))


def test_everybody_in_a_crowd_gets_a_turn(track_at: MakeTrack, face_at: MakeFace) -> None:
    """Twenty equal faces, two looks a frame: after ten frames nobody was left out, and nobody had two."""
    people = [passage(n) for n in range(1, 21)]
    crowd = [(who, Sighting(track_at(who.id, hits=5), face_at(90 * who.id, 300), False)) for who in people]
    for n in range(10):
        at = MediaNs(n * 60 * NS_PER_MS)
        for who, _, _ in choose(crowd, at, (4000, 600), budget=2, patient=True, threshold=THRESHOLD):
            who.tried_at, who.attempts, who.tried_geometry = at, who.attempts + 1, 0.5
            who.fuse(np.ones(128, np.float32), 11.0)
    assert {who.templates for who in people} == {1}


def test_ties_are_broken_by_the_older_passage(track_at: MakeTrack, face_at: MakeFace) -> None:
    crowd: Sequence[tuple[Passage, Sighting]] = [
        (passage(n), Sighting(track_at(n, hits=5), face_at(300, 300), False)) for n in (3, 1, 2)
    ]
    chosen = choose(crowd, NOW, (600, 600), budget=2, patient=True, threshold=THRESHOLD)
    assert [who.id for who, _, _ in chosen] == [1, 2]
