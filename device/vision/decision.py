"""The decision: when the evidence of a passage is a possible match, and when a later statement is worth making.

1. The score is that of the passage's fused template against the whole list, searched exactly.
2. One look alone decides when it is good and clears the threshold by SINGLE_LOOK; nearer to it, a second look must
   agree. If the person is gone before that, what there is decides.
3. A category may ask for more than the threshold, never for less: the nearest entry is judged by its own.
4. One alert a passage. It is revised when the score or the picture got clearly better, REVISIONS_MAX times.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from device.domain.sight import F32
from device.domain.time import NS_PER_MS, MediaNs
from device.vision.passages import Passage

SINGLE_LOOK = 0.04  # above the threshold; the spread between two looks at one face
SINGLE_QUALITY = 0.4
REVISED_SCORE = 0.06
REVISED_MERIT = 0.23  # 0.8 of SFace's raw length
REVISIONS_MAX = 3
WAIT_NS = 400 * NS_PER_MS  # for the second look


@dataclass(frozen=True, slots=True)
class Best:
    """The nearest entry: its index, its score, and the best score of any other (minus infinity without another)."""

    entry: int
    score: float
    second: float


class Gallery(Protocol):
    """What the decision needs of the watchlist."""

    def nearest(self, template: F32) -> Best: ...


class Decision:
    """Weighs one passage after each new template, and once more when it is leaving."""

    def __init__(self, gallery: Gallery, threshold: float, offsets: Sequence[float] = ()) -> None:
        """offsets: what each entry's category adds to the threshold (rule 3); empty: nothing for anybody."""
        self._gallery = gallery
        self._threshold = threshold
        self._offsets = tuple(max(0.0, offset) for offset in offsets)
        self._latest: Best | None = None

    @property
    def latest(self) -> Best | None:
        """What the last passage that was weighed came to, stated or not."""
        return self._latest

    def threshold(self, entry: int) -> float:
        """What an entry's score must reach."""
        return self._threshold + (self._offsets[entry] if self._offsets else 0.0)

    def weigh(self, passage: Passage) -> Best | None:
        """The possible match that is to be stated now (new or revised), or None."""
        best = self._latest = self._gallery.nearest(passage.slot.fused)
        passage.best_score = max(passage.best_score, best.score)
        over = best.score - self.threshold(best.entry)
        if passage.alerted_entry is not None:
            return best if over >= 0 and self._worth_revising(passage, best) else None
        sound = passage.templates > 1 or (over >= SINGLE_LOOK and passage.quality >= SINGLE_QUALITY)
        passage.pending = over >= 0 and not sound
        return best if over >= 0 and sound else None

    def last_word(self, passage: Passage, at: MediaNs) -> Best | None:
        """Rule 2's end: a pending passage that has not been seen for a while is decided with what there is."""
        if not passage.pending or at - passage.last_seen < WAIT_NS:
            return None
        passage.pending = False
        best = self._latest = self._gallery.nearest(passage.slot.fused)
        return best if best.score >= self.threshold(best.entry) else None

    @staticmethod
    def _worth_revising(passage: Passage, best: Best) -> bool:
        if passage.revision >= REVISIONS_MAX:
            return False
        if best.entry != passage.alerted_entry:
            return best.score >= passage.alerted_score + REVISED_SCORE / 2
        return (
            best.score >= passage.alerted_score + REVISED_SCORE
            or passage.best_merit >= passage.alerted_merit + REVISED_MERIT
        )
