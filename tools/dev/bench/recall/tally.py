"""Found, missed and false, for both sides by the same rules.

1. A claim (an alert of the product, a face of the naive loop that reaches the threshold) is right when the entry's
   person has a label then, up to GRACE_S after it, and the face is not somebody else's by its place.
2. A label is found when a right claim was made for it, or for an earlier label of the same person in the same passage,
   which goes on: a passage alerts once.
3. Every other claim is false; a track or a passage counts once.
4. At equal false alert rate: each side gets the lowest threshold at which no more of its tracks or passages make a
   false claim than `share` of the labelled passages of people who are not listed.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from tools.dev.bench.recall.labels import Label, owner

GRACE_S = 2.0
"""The product's passage ends after 2 s unseen, and may be decided until then."""

STEP = 1e-4
"""By how much a threshold lies above a false claim's score."""


@dataclass(frozen=True, slots=True)
class Claim:
    """Somebody was taken for an entry: which track or passage, when, whose labels the face is known to be."""

    unit: int
    entry: str
    frame: int
    score: float
    owners: frozenset[int]


@dataclass(frozen=True, slots=True)
class Assessed:
    """Claims of one clip against its labels: the best score of each found label, and each unit's best false claim."""

    found: dict[int, float]
    false: dict[int, Claim]

    def found_at(self, threshold: float) -> set[int]:
        """Labels that are found at a threshold."""
        return {label for label, score in self.found.items() if score >= threshold}

    def false_at(self, threshold: float) -> int:
        """Tracks or passages with a false claim at a threshold."""
        return sum(claim.score >= threshold for claim in self.false.values())


def assess(labels: Sequence[Label], claims: Iterable[Claim], rate_hz: float) -> Assessed:
    """Rules 1 to 3."""
    by_person: dict[str, list[Label]] = defaultdict(list)
    for label in labels:
        by_person[label.person].append(label)
    grace = round(GRACE_S * rate_hz)
    found: dict[int, float] = {}
    false: dict[int, Claim] = {}
    for claim in claims:
        now = [label for label in by_person[claim.entry] if label.first <= claim.frame <= label.last + grace]
        right = [label for label in now if label.id in claim.owners or not claim.owners]
        best = max(right, key=lambda label: (label.id in claim.owners, label.first), default=None)
        if best is not None:
            later = [
                label for label in by_person[claim.entry] if label.id in claim.owners and label.first > claim.frame
            ]
            for label in (best, *later):
                found[label.id] = max(found.get(label.id, -1.0), claim.score)
        elif claim.unit not in false or claim.score > false[claim.unit].score:
            false[claim.unit] = claim
    return Assessed(found, false)


def increasing(claims: Iterable[Claim]) -> Iterator[Claim]:
    """Those claims of a passage that are higher than all before for the same entry, in order of their frames.

    A passage alerts at the first of its claims that reaches the threshold; a score that is repeated, perhaps
    when the person has left and another one continues the passage, is no new claim.
    """
    highest: dict[tuple[int, str], float] = {}
    for claim in claims:
        if claim.score > highest.get((claim.unit, claim.entry), -2.0):
            highest[(claim.unit, claim.entry)] = claim.score
            yield claim


def owners_of(labels: Sequence[Label], frame: int, box: tuple[float, float, float, float]) -> frozenset[int]:
    """The label that a face belongs to, for `Claim`; empty when it is unknown."""
    label = owner(labels, frame, box)
    return frozenset() if label is None else frozenset({label.id})


def allowed(strangers: int, share: float) -> int:
    """Rule 4: tracks or passages that may make a false claim."""
    return math.floor(share * strangers)


def threshold_for(false: Iterable[float], strangers: int, share: float) -> float:
    """Rule 4. `false`: the best false score of each unit of all clips."""
    ranked = sorted(false, reverse=True)
    return ranked[min(allowed(strangers, share), len(ranked) - 1)] + STEP if ranked else 0.0
