"""The match decision: when the evidence of a passage is a possible match, and when a revision is worth sending.

1. The score of a passage is the highest of four, each against the whole list, searched exactly: that of the mean of
   all its templates, that of the mean of its last WINDOW templates (quality.weight_of), and the mean of the two looks
   that score highest with an entry, of plain and of mirrored looks. It is taken after every look, and the first time
   that it reaches the threshold decides; device/decisions/0302-how-looks-are-combined.md and 0317.
   A mirrored look is the mean of a template and of that of the mirrored crop. It is taken where there is no alert and
   the score is less than UNDECIDED below the threshold, and counts for the list, watchlist or blue list, of which that
   is so.
2. A category may raise its threshold, never lower it: the nearest entry's own category applies.
3. One alert a passage. It is revised when the score or the picture got clearly better, REVISIONS_MAX times.
4. A picture is kept only of a passage that is within PICTURED of the threshold: the best of all looks at which it was.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from device.domain.sight import F32
from device.vision.passages import WINDOW, Passage

PLAIN, MIRRORED = 0, 1  # rule 1: kinds of looks in `Slot.best_looks`
UNDECIDED = 0.04
PICTURED = 0.12  # below the threshold; strangers' best single look of 1,822 is under .44 to .45 in 19 of 20 (0303)
REVISED_SCORE = 0.06
REVISED_MERIT = 0.23  # 0.8 of SFace's raw length
REVISIONS_MAX = 3


@dataclass(frozen=True, slots=True)
class Best:
    """The nearest entry: its index, its score, and the best score of any other (minus infinity without another)."""

    entry: int
    score: float
    second: float


class Gallery(Protocol):
    """What the match decision needs of the watchlist."""

    def __len__(self) -> int: ...

    def nearest(self, template: F32) -> Best: ...

    def note_look(self, template: F32, best: F32) -> None:
        """Enter the score of a unit template with every entry into `best` (2, entries): the two highest so far."""
        ...

    def nearest_by_looks(self, best: F32) -> Best:
        """The entry with the highest mean of its two scores of one kind in `best` (kinds, 2, entries), as it stays."""
        ...


def nearest_of(gallery: Gallery, passage: Passage, best_looks: F32, threshold: Callable[[int], float]) -> Best:
    """Rule 1: the entry that is furthest over its threshold, by all looks, the last or the two best. Changes nothing.

    best_looks  (2, 2, entries) of this list, by `Gallery.note_look`
    """
    options = [gallery.nearest(passage.slot.fused)]
    if passage.templates > 1:
        options.append(gallery.nearest_by_looks(best_looks))
    if passage.templates > WINDOW:
        recent_sum = passage.recent_sum()
        options.append(gallery.nearest(recent_sum))
        recent_sum[:] = 0
    return max(options, key=lambda one: one.score - threshold(one.entry))


def undecided(best: Best, threshold: Callable[[int], float]) -> bool:
    """Rule 1: whether a score is less than UNDECIDED below the threshold of its entry."""
    return 0 < threshold(best.entry) - best.score < UNDECIDED


class Decision:
    """Weighs one passage after each new template."""

    def __init__(self, gallery: Gallery, threshold: float, offsets: Sequence[float] = ()) -> None:
        """offsets: what each entry's category adds to the threshold (rule 2); empty: nothing for anybody."""
        self._gallery = gallery
        self._threshold = threshold
        self._offsets = tuple(max(0.0, offset) for offset in offsets)
        self._latest: Best | None = None

    @property
    def latest(self) -> Best | None:
        """The result of the last passage that was weighed, stated or not."""
        return self._latest

    def threshold(self, entry: int) -> float:
        """The threshold of an entry."""
        return self._threshold + (self._offsets[entry] if self._offsets else 0.0)

    def note_look(self, passage: Passage, template: F32, kind: int = PLAIN) -> None:
        """One look of a passage (rule 1); before `weigh`."""
        self._gallery.note_look(template, passage.slot.best_looks[kind])

    def may_match(self, passage: Passage) -> bool:
        """Rule 4: whether a picture of the passage may be needed; after `weigh`."""
        if passage.alerted_entry is not None:
            return True
        return self._latest is not None and self.threshold(self._latest.entry) - self._latest.score < PICTURED

    def undecided(self, passage: Passage) -> bool:
        """Whether a mirrored look is worth its time: the passage has no alert, and its last `weigh` was just below."""
        if passage.alerted_entry is not None or self._latest is None:
            return False
        return undecided(self._latest, self.threshold)

    def weigh(self, passage: Passage) -> Best | None:
        """The possible match that is to be stated now (new or revised), or None."""
        best = nearest_of(self._gallery, passage, passage.slot.best_looks, self.threshold)
        self._latest = best
        passage.best_score = max(passage.best_score, best.score)
        if best.score < self.threshold(best.entry):
            return None
        return best if passage.alerted_entry is None or self._worth_revising(passage, best) else None

    @staticmethod
    def _worth_revising(passage: Passage, best: Best) -> bool:
        if passage.revision >= REVISIONS_MAX:
            return False
        if best.entry != passage.alerted_entry:
            return best.score >= passage.alerted_score + REVISED_SCORE / 2
        return (
            best.score >= passage.alerted_score + REVISED_SCORE
            or passage.shot_quality >= passage.alerted_quality + REVISED_MERIT
        )
