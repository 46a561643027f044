"""Why the product missed a passage, from the facts of its run; the first reason that holds.

1. never detected: no face of it was found in any frame that was looked at
2. no look: it was found, but the recogniser never saw it, and the scheduler's most frequent reason
3. looked but refused: no look gave a template that was used, and the most frequent outcome
4. merged: its templates went to a passage that holds another person's, too
5. scored below: with the best score of a single look, and the best that the rule of decision made of them
6. not stated: the score reached the threshold, but the rule wanted more (a second look)
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from device.vision.observer import Look, LookOutcome
from tools.dev.bench.recall.facts import Facts
from tools.dev.bench.recall.labels import Label, owner

USED = (LookOutcome.KEPT, LookOutcome.LEFT)


@dataclass(frozen=True, slots=True)
class Missed:
    """kind: one of the numbered reasons; `detail` explains it in numbers."""

    kind: str
    detail: str


class Explained:
    """Whose each face, look and passage of a run was."""

    def __init__(self, labels: Sequence[Label], facts: Facts) -> None:
        self._facts = facts
        self.detections: Counter[int] = Counter()
        for frame, boxes in facts.found.items():
            owners = (owner(labels, frame, box) for box in boxes)
            self.detections.update(label.id for label in owners if label is not None)
        self._of_face: dict[tuple[int, int], Label] = {}
        self.passages: dict[int, set[int]] = defaultdict(set)
        for face in facts.followed_faces:
            label = owner(labels, face.frame, face.box)
            if label is not None:
                self._of_face[(face.frame, face.track)] = label
                if face.passage is not None:
                    self.passages[face.passage].add(label.id)
        self._looks: dict[int, list[Look]] = defaultdict(list)
        self._people: dict[int, Counter[str]] = defaultdict(Counter)
        for look in facts.looks:
            label = self._of_face.get((look.frame, look.track))
            if label is None:
                continue
            self._looks[label.id].append(look)
            if look.settled is not None:
                self.passages[look.settled].add(label.id)
                self._people[look.settled][label.person] += 1

        for _, earlier, later in facts.joins:
            self.passages[earlier] |= self.passages[later]

    def owners(self, passage: int) -> frozenset[int]:
        """Labels whose faces were in a passage of the product."""
        return frozenset(self.passages[passage])

    def looks(self, label: Label) -> list[Look]:
        """The recogniser's looks at a passage."""
        return self._looks[label.id]

    def best_alone(self, label: Label) -> float | None:
        """The best score of one look for the right entry."""
        scores = [k.score for k in self.looks(label) if k.entry == label.person and k.score is not None]
        return max(scores, default=None)

    def best_by_rule(self, label: Label) -> float | None:
        """The best score that the rule of decision gave the right entry, while the passage went on."""
        settled = {look.settled for look in self.looks(label) if look.settled is not None}
        return max(
            (d.score for d in self._facts.decisions if d.passage in settled and d.entry == label.person), default=None
        )

    def why_missed(self, label: Label, threshold: float) -> Missed:
        """The reason for a listed passage without an alert."""
        if not self.detections[label.id]:
            return Missed("never detected", f"no face found in frames {label.first}-{label.last}")
        seen = f"found in {self.detections[label.id]} frames"
        looks = self.looks(label)
        if not looks:
            mine = (key for key, face in self._of_face.items() if face.id == label.id)
            reasons = Counter(self._facts.no_looks[key].value for key in mine if key in self._facts.no_looks)
            return Missed("no look", f"{seen}; {_most(reasons) or 'never followed'}")
        used = [look for look in looks if look.outcome in USED]
        if not used:
            outcomes = Counter(look.outcome.value for look in looks)
            return Missed("looked but refused", f"{seen}, {len(looks)} looks; {_most(outcomes)}")
        alone, fused = self.best_alone(label), self.best_by_rule(label)
        scores = f"{seen}, {len(used)} looks, best alone {_number(alone)}, by the rule {_number(fused)}"
        others = {p for look in used for p in self._people[look.settled or 0] if p != label.person}
        if others:
            return Missed("merged", f"with {', '.join(sorted(others))}; {scores}")
        if fused is None or fused < threshold:
            return Missed("scored below", f"{scores}, threshold {threshold:.3f}")
        return Missed("not stated", scores)


def _most(reasons: Counter[str]) -> str:
    return "; ".join(f"{why} ({times})" for why, times in reasons.most_common(3))


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
