"""The decision: sound evidence at once, doubtful evidence after a second look, one alert a passage."""

from __future__ import annotations

import numpy as np
import pytest

from device.domain.sight import F32
from device.domain.time import MediaNs
from device.vision.decision import REVISED_MERIT, REVISED_SCORE, REVISIONS_MAX, SINGLE_LOOK, WAIT_NS, Best, Decision
from device.vision.passages import Passage, Slot

THRESHOLD = 0.5
GOOD, POOR = 1.14, 0.14  # merit (quality.merit)


class FakeGallery:
    """Answers every search with `best`."""

    def __init__(self, score: float = 0.0, entry: int = 7) -> None:
        self.best = Best(entry, score, 0.1)

    def nearest(self, template: F32) -> Best:
        return self.best


def passage_with(looks: int = 1, merit: float = GOOD) -> Passage:
    passage = Passage(1, Slot.of(128), MediaNs(0), MediaNs(0))
    for _ in range(looks):
        passage.fuse(np.ones(128, np.float32), merit)
    passage.best_merit = merit
    return passage


def state(passage: Passage, best: Best) -> None:
    """What the pipeline notes when it states a decision."""
    passage.alerted_entry, passage.alerted_score = best.entry, best.score
    passage.alerted_merit, passage.pending = passage.best_merit, False
    passage.revision += 1


def decided(score: float, passage: Passage) -> Best | None:
    return Decision(FakeGallery(score), THRESHOLD).weigh(passage)


def test_one_good_look_well_over_the_threshold_is_stated_at_once() -> None:
    passage = passage_with()
    assert decided(THRESHOLD + SINGLE_LOOK + 0.001, passage) == Best(7, THRESHOLD + SINGLE_LOOK + 0.001, 0.1)
    assert not passage.pending


@pytest.mark.parametrize(
    ("score", "merit"), [(THRESHOLD + SINGLE_LOOK - 0.001, GOOD), (THRESHOLD, GOOD), (THRESHOLD + 0.3, POOR)]
)
def test_one_look_near_the_threshold_or_of_poor_quality_waits_for_a_second(score: float, merit: float) -> None:
    passage = passage_with(merit=merit)
    assert decided(score, passage) is None
    assert passage.pending


def test_a_second_look_that_agrees_decides() -> None:
    passage = passage_with()
    assert decided(THRESHOLD + 0.01, passage) is None
    passage.fuse(np.ones(128, np.float32), GOOD)
    assert decided(THRESHOLD + 0.005, passage) is not None
    assert not passage.pending


def test_a_second_look_that_disagrees_ends_the_wait() -> None:
    passage = passage_with()
    decided(THRESHOLD + 0.01, passage)
    passage.fuse(np.ones(128, np.float32), GOOD)
    assert decided(THRESHOLD - 0.001, passage) is None
    assert not passage.pending
    assert Decision(FakeGallery(0.9), THRESHOLD).last_word(passage, MediaNs(10 * WAIT_NS)) is None


@pytest.mark.parametrize("looks", [1, 2, 5])
def test_below_the_threshold_nothing_is_stated_however_often_one_looks(looks: int) -> None:
    passage = passage_with(looks)
    assert decided(THRESHOLD - 1e-6, passage) is None
    assert not passage.pending


def test_at_the_threshold_two_looks_are_a_match() -> None:
    assert decided(THRESHOLD, passage_with(2)) is not None


def test_the_last_word_waits_until_the_person_is_out_of_sight() -> None:
    passage = passage_with()
    decision = Decision(FakeGallery(THRESHOLD + 0.01), THRESHOLD)
    decision.weigh(passage)
    assert decision.last_word(passage, MediaNs(WAIT_NS - 1)) is None
    assert passage.pending
    assert decision.last_word(passage, MediaNs(WAIT_NS)) == Best(7, THRESHOLD + 0.01, 0.1)
    assert not passage.pending
    assert decision.last_word(passage, MediaNs(2 * WAIT_NS)) is None


def test_the_last_word_is_for_nobody_whose_score_fell_below_the_threshold() -> None:
    passage = passage_with()
    gallery = FakeGallery(THRESHOLD + 0.01)
    decision = Decision(gallery, THRESHOLD)
    decision.weigh(passage)
    gallery.best = Best(7, THRESHOLD - 0.01, 0.1)
    assert decision.last_word(passage, MediaNs(WAIT_NS)) is None
    assert not passage.pending


def test_the_best_score_of_a_passage_is_remembered() -> None:
    passage = passage_with()
    for score in (0.1, 0.3, 0.2):
        decided(score, passage)
    assert passage.best_score == pytest.approx(0.3)


def alerted(score: float = 0.6) -> Passage:
    passage = passage_with(2)
    state(passage, Best(7, score, 0.1))
    return passage


@pytest.mark.parametrize(
    ("score", "longer", "entry", "worth"),
    [
        (0.6 + REVISED_SCORE + 0.001, 0.0, 7, True),
        (0.6 + REVISED_SCORE - 0.001, 0.0, 7, False),
        (0.6, REVISED_MERIT + 0.001, 7, True),
        (0.6, REVISED_MERIT - 0.001, 7, False),
        (THRESHOLD - 0.01, 3.0, 7, False),
        (0.6 + REVISED_SCORE / 2 + 0.001, 0.0, 8, True),
        (0.6 + REVISED_SCORE / 2 - 0.001, 0.0, 8, False),
    ],
)
def test_an_alert_is_revised_when_score_or_picture_got_clearly_better(
    score: float, longer: float, entry: int, worth: bool
) -> None:
    passage = alerted()
    passage.best_merit += longer
    found = Decision(FakeGallery(score, entry), THRESHOLD).weigh(passage)
    assert (found is not None) is worth


def test_revisions_are_bounded() -> None:
    passage, stated = passage_with(2), []
    for score in np.arange(0.51, 0.999, REVISED_SCORE + 0.001):
        best = decided(float(score), passage)
        if best is not None:
            state(passage, best)
            stated.append(passage.revision)
    assert stated == list(range(REVISIONS_MAX + 1))


def test_the_same_evidence_twice_is_one_alert() -> None:
    passage: Passage = passage_with(2)
    decision = Decision(FakeGallery(0.8), THRESHOLD)
    best = decision.weigh(passage)
    assert best is not None
    state(passage, best)
    for _ in range(20):
        passage.fuse(np.ones(128, np.float32), GOOD)
        assert decision.weigh(passage) is None
    assert decision.last_word(passage, MediaNs(100 * WAIT_NS)) is None


@pytest.mark.parametrize(
    ("offset", "score", "stated"),
    [(0.1, 0.59, False), (0.1, 0.61, True), (0.0, 0.51, True), (-0.2, 0.49, False)],
)
def test_a_category_may_ask_for_more_than_the_threshold_and_never_for_less(
    offset: float, score: float, stated: bool
) -> None:
    decision = Decision(FakeGallery(score, entry=1), THRESHOLD, [0.0, offset])
    assert (decision.weigh(passage_with(2)) is not None) is stated
    assert decision.threshold(0) == THRESHOLD
    assert decision.threshold(1) >= THRESHOLD


def test_the_nearest_entry_is_judged_by_its_own_category_and_no_other_takes_its_place() -> None:
    decision = Decision(FakeGallery(0.58, entry=0), THRESHOLD, [0.1, 0.0])
    assert decision.weigh(passage_with(2)) is None
    assert decision.last_word(passage_with(2), MediaNs(100 * WAIT_NS)) is None
