"""Why a passage was missed, from what the pipeline reported."""

from __future__ import annotations

import numpy as np
import pytest

from device.domain.sight import Face
from device.vision.observer import Look, LookOutcome, NoLook, Weighed
from tools.dev.bench.recall.facts import Facts
from tools.dev.bench.recall.labels import Label
from tools.dev.bench.recall.reasons import Explained

HERE, THERE = (100.0, 50.0, 145.0, 110.0), (300.0, 50.0, 345.0, 110.0)
ANN = Label(1, "ann", 0, 9, boxes=dict.fromkeys(range(10), HERE))
BEA = Label(2, "bea", 0, 9, boxes=dict.fromkeys(range(10), THERE))
AFTER = Label(3, "cat", 10, 19, boxes=dict.fromkeys(range(10, 20), HERE))
LABELS = [ANN, BEA, AFTER]
THRESHOLD = 0.56


def face(box: tuple[float, ...]) -> Face:
    return Face(np.array(box, np.float32), np.zeros((5, 2), np.float32), 0.9)


@pytest.fixture
def facts() -> Facts:
    """Ann in track 1 and passage 1, somebody at her place from frame 10 in the same track; Bea nowhere."""
    made = Facts()
    for frame in range(20):
        made.detected(frame, [face(HERE)])
        made.followed(frame, 1, 1, face(HERE))
    return made


def look(
    frame: int, outcome: LookOutcome = LookOutcome.KEPT, score: float = 0.5, entry: str = "ann", settled: int = 1
) -> Look:
    used = outcome in (LookOutcome.KEPT, LookOutcome.LEFT)
    return Look(frame, 1, 1, outcome, settled if used else None, 0.8 if used else None, entry, score)


def weighed(score: float, entry: str = "ann") -> Weighed:
    return Weighed(5, 1, entry, score, THRESHOLD, False)


def why(facts: Facts, label: Label = ANN) -> tuple[str, str]:
    missed = Explained(LABELS, facts).why_missed(label, THRESHOLD)
    return missed.kind, missed.detail


def test_never_detected(facts: Facts) -> None:
    assert why(facts, BEA) == ("never detected", "no face found in frames 0-9")


def test_no_look_with_the_schedulers_reason(facts: Facts) -> None:
    for frame in range(10):
        facts.not_looked(frame, 1, NoLook.NO_GAIN if frame else NoLook.ONE_SIGHTING)
    kind, detail = why(facts)
    assert kind == "no look"
    assert detail == "found in 10 frames; no better than earlier shots (9); seen once only (1)"


def test_found_but_in_no_track() -> None:
    facts = Facts()
    facts.detected(3, [face(HERE)])
    assert why(facts) == ("no look", "found in 1 frames; never followed")


def test_looked_but_refused(facts: Facts) -> None:
    facts.looked(look(2, LookOutcome.RAW_LENGTH))
    facts.looked(look(4, LookOutcome.NO_LANDMARKS))
    facts.looked(look(6, LookOutcome.RAW_LENGTH))
    kind, detail = why(facts)
    assert kind == "looked but refused"
    assert "raw length too small (2)" in detail


def test_merged_names_the_other_person(facts: Facts) -> None:
    facts.looked(look(2, score=0.7))
    facts.looked(look(12, score=0.6, entry="cat"))
    kind, detail = why(facts)
    assert kind == "merged"
    assert detail.startswith("with cat;")


def test_scored_below_gives_both_scores(facts: Facts) -> None:
    facts.looked(look(2, score=0.58))
    facts.weighed(weighed(0.52))
    facts.weighed(weighed(0.9, entry="eve"))  # another entry's score is none of hers
    kind, detail = why(facts)
    assert kind == "scored below"
    assert "best alone 0.580, by the rule 0.520, threshold 0.560" in detail


def test_above_the_threshold_but_not_stated(facts: Facts) -> None:
    facts.looked(look(2, score=0.58))
    facts.weighed(weighed(0.58))
    assert why(facts)[0] == "not stated"


def test_a_joined_passage_keeps_the_labels_of_both(facts: Facts) -> None:
    facts.followed(3, 2, 7, face(THERE))
    facts.joined(4, 1, 7)
    assert Explained(LABELS, facts).owners(1) == {1, 2, 3}
