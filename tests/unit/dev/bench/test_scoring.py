"""Alerts against ground truth: found, missed, false, twice."""

from __future__ import annotations

import itertools

import pytest

from tools.dev.bench.run import in_view, stretches
from tools.dev.bench.score import Alert, score
from tools.dev.clip.make import ClipTruth, FaceTruth, PassageTruth


def a_passage(number: int, person: str, first: int, last: int, *, listed: bool = True, px: float = 80) -> PassageTruth:
    faces = [FaceTruth(frame, (0.0, 0.0, px * 0.75, px), 1.0) for frame in range(first, last + 1)]
    return PassageTruth(number, person, f"{person}.jpg", listed, first, last, faces)


def a_truth(*passages: PassageTruth, frames: int = 500) -> ClipTruth:
    return ClipTruth(1280, 720, 25, frames, 1, list(passages))


TWICE = a_truth(a_passage(0, "ann", 50, 100), a_passage(1, "bob", 60, 110, listed=False), a_passage(2, "ann", 300, 350))


def test_one_alert_in_each_passage_finds_both() -> None:
    result = score(TWICE, [Alert("ann", 60, 0.6), Alert("ann", 310, 0.6)])
    assert (result.found, result.listed, result.duplicates, result.false_alerts) == (2, 2, 0, ())
    assert result.delays == (10, 10)


def test_second_alert_in_a_passage_is_a_duplicate() -> None:
    result = score(TWICE, [Alert("ann", 60, 0.6), Alert("ann", 90, 0.7)])
    assert (result.found, result.duplicates, len(result.missed)) == (1, 1, 1)


def test_decision_up_to_two_seconds_after_the_passage_still_counts() -> None:
    assert score(TWICE, [Alert("ann", 150, 0.6)]).found == 1
    late = score(TWICE, [Alert("ann", 151, 0.6)])
    assert (late.found, len(late.false_alerts)) == (0, 1)


@pytest.mark.parametrize("alert", [Alert("bob", 70, 0.6), Alert("ann", 20, 0.6), Alert("cat", 60, 0.6)])
def test_an_alert_for_somebody_who_is_not_listed_or_not_there_is_false(alert: Alert) -> None:
    assert score(TWICE, [alert]).false_alerts == (alert,)


def test_overlapping_passages_of_one_person_each_take_one_alert() -> None:
    truth = a_truth(a_passage(0, "ann", 50, 100), a_passage(1, "ann", 110, 160))
    assert score(truth, [Alert("ann", 60, 0.6), Alert("ann", 120, 0.6)]).found == 2


def test_small_face_is_listed_but_not_sound() -> None:
    result = score(a_truth(a_passage(0, "ann", 50, 100, px=40)), [])
    assert (result.listed, result.sound, result.sound_found) == (1, 0, 0)


def test_passage_that_was_not_shown_does_not_count() -> None:
    assert score(TWICE, [], frames=200).listed == 1


def test_stretches_lie_around_the_listed_passages() -> None:
    assert stretches(TWICE, 100) == [(42, 92), (292, 342)]
    assert stretches(TWICE, 0) == [(0, 500)]
    assert stretches(TWICE, 10_000) == [(0, 500)]


def test_stretches_never_overlap_or_leave_the_clip() -> None:
    truth = a_truth(a_passage(0, "ann", 0, 40), a_passage(1, "eve", 10, 60), a_passage(2, "ann", 480, 499))
    found = stretches(truth, 150)
    assert found[0][0] == 0
    assert all(first < end <= 500 for first, end in found)
    assert all(before[1] <= after[0] for before, after in itertools.pairwise(found))


def test_people_in_view_are_counted_by_frame() -> None:
    assert in_view(TWICE, [(60, 100)]) == 2.0
    assert in_view(TWICE, [(0, 50)]) == 0.0
