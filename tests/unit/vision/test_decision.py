"""The match decision: by all looks or by the last ones, by the higher score; one alert a passage."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from device.domain.sight import F32
from device.domain.time import MediaNs
from device.recognition.build import Listed, gallery_of
from device.vision.decision import MIRRORED, PLAIN, REVISED_MERIT, REVISED_SCORE, REVISIONS_MAX, Best, Decision
from device.vision.passages import WINDOW, Passage, Slot

THRESHOLD = 0.5
GOOD, POOR = 1.14, 0.14  # merit (quality.merit)


class FakeGallery:
    """Answers every search with `best`."""

    def __init__(self, score: float = 0.0, entry: int = 7) -> None:
        self.best = Best(entry, score, 0.1)

    def __len__(self) -> int:
        return 0

    def nearest(self, template: F32) -> Best:
        return self.best

    def note_look(self, template: F32, best: F32) -> None:
        raise AssertionError("no look is noted here")

    def nearest_by_looks(self, best: F32) -> Best:
        return replace(self.best, score=-1.0)


def passage_with(looks: int = 1, merit: float = GOOD) -> Passage:
    passage = Passage(1, Slot.of(128), MediaNs(0), MediaNs(0))
    for _ in range(looks):
        passage.fuse(np.ones(128, np.float32), merit)
    passage.best_quality = passage.shot_quality = merit
    return passage


def state(passage: Passage, best: Best) -> None:
    """What the pipeline notes when it states a decision."""
    passage.alerted_entry, passage.alerted_score = best.entry, best.score
    passage.alerted_quality = passage.shot_quality
    passage.revision += 1


def decided(score: float, passage: Passage) -> Best | None:
    return Decision(FakeGallery(score), THRESHOLD).weigh(passage)


def axes(count: int = 4) -> Listed:
    """A list of people whose templates are unit vectors: entry n along axis n."""
    return Listed(gallery_of([(str(n), np.eye(1, 128, n, dtype=np.float32)) for n in range(count)]))


def begun(count: int = 4) -> Passage:
    return Passage(1, Slot.of(128, count), MediaNs(0), MediaNs(0))


def look(decision: Decision, passage: Passage, template: F32, merit: float = GOOD) -> Best | None:
    """One look, as the pipeline takes it."""
    passage.fuse(template, merit)
    decision.note_look(passage, template)
    return decision.weigh(passage)


def towards(entry: int, cosine: float, aside: int = 100) -> F32:
    """A unit template with that cosine to an entry; the rest points `aside`."""
    row = np.zeros(128, np.float32)
    row[entry], row[aside] = cosine, np.sqrt(1 - cosine**2)
    return row


@pytest.mark.parametrize("merit", [GOOD, POOR, -0.5])
def test_one_look_that_reaches_the_threshold_is_stated_at_once(merit: float) -> None:
    assert decided(THRESHOLD, passage_with(merit=merit)) == Best(7, THRESHOLD, 0.1)


def test_people_whose_single_looks_are_below_the_threshold_are_found_by_their_mean() -> None:
    passage, decision = begun(), Decision(axes(), THRESHOLD)
    stated = [look(decision, passage, towards(2, 0.4, aside=100 + n)) for n in range(3)]
    assert stated[0] is None
    assert stated[-1] is not None
    assert stated[-1].entry == 2


def test_people_who_are_turned_away_at_first_are_found_by_their_last_looks() -> None:
    passage, decision = begun(), Decision(axes(), THRESHOLD)
    for _ in range(12):
        assert look(decision, passage, towards(2, 0.1)) is None
    best = [look(decision, passage, towards(2, THRESHOLD - 0.05, aside=101 + n)) for n in range(WINDOW)][-1]
    assert best is not None
    assert best.entry == 2
    assert axes().nearest(passage.slot.fused).score < THRESHOLD, "the mean of all looks alone would have missed them"
    assert axes().nearest_by_looks(passage.slot.best_looks).score < THRESHOLD, "the two best would have, too"
    assert not passage.slot.recent_sum.any(), "the mean of the last looks is not left lying about"


def test_two_looks_that_reach_the_threshold_decide_however_many_poorer_ones_came_before_and_between() -> None:
    passage, decision = begun(), Decision(axes(), THRESHOLD)
    stated = []
    for n in range(16):
        good = n in (6, 13)
        stated.append(look(decision, passage, towards(2, THRESHOLD + 0.02 if good else 0.1, aside=20 + 4 * (n % 2))))
    assert stated[:13] == [None] * 13, "one look among poorer ones decides nothing"
    assert stated[13] is not None
    assert stated[13].entry == 2
    assert stated[13].score == pytest.approx(THRESHOLD + 0.02, abs=1e-5)
    assert axes().nearest(passage.slot.fused).score < THRESHOLD


def test_two_looks_that_are_each_like_another_entry_decide_nothing() -> None:
    passage, decision = begun(), Decision(axes(), THRESHOLD)
    for n in range(6):
        look(decision, passage, towards(3, 0.05, aside=20 + n))
    assert look(decision, passage, towards(1, THRESHOLD + 0.02, aside=40)) is None
    assert look(decision, passage, towards(2, THRESHOLD + 0.02, aside=41)) is None


@pytest.mark.parametrize("seed", range(5))
def test_of_any_looks_the_two_best_of_every_entry_are_kept(seed: int) -> None:
    rng, passage, decision = np.random.default_rng(seed), begun(6), Decision(axes(6), THRESHOLD)
    looks = rng.standard_normal((9, 128)).astype(np.float32)
    looks /= np.linalg.norm(looks, axis=1, keepdims=True)
    for row in looks:
        decision.note_look(passage, row)
    wanted = np.sort(np.vstack([looks[:, :6], np.zeros((2, 6), np.float32)]), axis=0)[::-1][:2]
    assert np.allclose(passage.slot.best_looks[PLAIN], wanted)
    assert not passage.slot.best_looks[MIRRORED].any()


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
    passage.shot_quality += longer
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
