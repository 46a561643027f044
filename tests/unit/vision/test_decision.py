"""The match decision: by all looks or by the last ones, by the higher score; one alert a passage."""

from __future__ import annotations

import numpy as np
import pytest

from device.domain.sight import F32
from device.domain.time import MediaNs
from device.vision.decision import REVISED_MERIT, REVISED_SCORE, REVISIONS_MAX, Best, Decision
from device.vision.passages import WINDOW, Passage, Slot

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
    passage.best_quality = merit
    return passage


def state(passage: Passage, best: Best) -> None:
    """What the pipeline notes when it states a decision."""
    passage.alerted_entry, passage.alerted_score = best.entry, best.score
    passage.alerted_quality = passage.best_quality
    passage.revision += 1


def decided(score: float, passage: Passage) -> Best | None:
    return Decision(FakeGallery(score), THRESHOLD).weigh(passage)


class Listed:
    """A list of people whose templates are unit vectors: entry n along axis n."""

    def nearest(self, template: F32) -> Best:
        scores = template[:4] / np.linalg.norm(template)
        first, second = np.argsort(scores)[::-1][:2]
        return Best(int(first), float(scores[first]), float(scores[second]))


def towards(entry: int, cosine: float, aside: int = 100) -> F32:
    """A unit template with that cosine to an entry; the rest points `aside`."""
    row = np.zeros(128, np.float32)
    row[entry], row[aside] = cosine, np.sqrt(1 - cosine**2)
    return row


@pytest.mark.parametrize("merit", [GOOD, POOR, -0.5])
def test_one_look_that_reaches_the_threshold_is_stated_at_once(merit: float) -> None:
    assert decided(THRESHOLD, passage_with(merit=merit)) == Best(7, THRESHOLD, 0.1)


def test_people_whose_single_looks_are_below_the_threshold_are_found_by_their_mean() -> None:
    passage, decision = Passage(1, Slot.of(128), MediaNs(0), MediaNs(0)), Decision(Listed(), THRESHOLD)
    stated = []
    for n in range(3):
        passage.fuse(towards(2, 0.4, aside=100 + n), GOOD)
        stated.append(decision.weigh(passage))
    assert stated[0] is None
    assert stated[-1] is not None
    assert stated[-1].entry == 2


def test_people_who_are_turned_away_at_first_are_found_by_their_last_looks() -> None:
    passage, decision = Passage(1, Slot.of(128), MediaNs(0), MediaNs(0)), Decision(Listed(), THRESHOLD)
    for _ in range(12):
        passage.fuse(towards(2, 0.1), GOOD)
        assert decision.weigh(passage) is None
    for _ in range(WINDOW):
        passage.fuse(towards(2, THRESHOLD + 0.01, aside=101), GOOD)
    best = decision.weigh(passage)
    assert best is not None
    assert best.entry == 2
    assert best.score == pytest.approx(THRESHOLD + 0.01, abs=1e-5)
    assert Listed().nearest(passage.slot.fused).score < THRESHOLD, "the mean of all looks alone would have missed them"
    assert not passage.slot.recent_sum.any(), "the mean of the last looks is not left lying about"


@pytest.mark.parametrize("looks", [1, 2, 5])
def test_below_the_threshold_nothing_is_stated_however_often_one_looks(looks: int) -> None:
    passage = passage_with(looks)
    assert decided(THRESHOLD - 1e-6, passage) is None


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
    passage.best_quality += longer
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
