"""The blue list beside the watchlist: which volunteer a passage is, by the same rule and the same threshold.

1. The search is a list of its own. It reads a passage that was weighed against the watchlist and changes nothing in it
   but the scores of single looks that it keeps there for itself (`Slot.volunteer_looks`):
   looks, scores, candidates and counts of the watchlist are the same with and without volunteers. Of a pair of
   recognisers the gate opens for volunteers as it does for listed people (device/vision/pair.py), or they would be
   passed over where a listed person is not: whom it opens for is looked at and weighed like anybody else, which the
   evidence covers, because it counts strangers without a gate.
2. The threshold is the watchlist's, which was chosen for the size of the watchlist alone. A category's offset is not
   added: a volunteer has no category.
3. A passage that has an alert is no volunteer's any more; one that is a volunteer's can still become an alert.
4. A passage is stated once. No picture of a volunteer leaves the worker.
"""

from __future__ import annotations

from collections.abc import Sequence

from device.domain.finding import VolunteerFinding
from device.domain.sight import F32, Frame
from device.vision.decision import PLAIN, Best, Gallery, nearest_of, undecided
from device.vision.passages import Passage


class VolunteerSearch:
    """Findings of one camera; one owner thread. refs: by the gallery's entries."""

    def __init__(self, gallery: Gallery, refs: Sequence[str], threshold: float) -> None:
        self._gallery = gallery
        self._refs = tuple(refs)
        self._threshold = threshold
        self._stated: set[int] = set()
        self._findings: list[VolunteerFinding] = []

    def __len__(self) -> int:
        return len(self._refs)

    def note_look(self, passage: Passage, template: F32, kind: int = PLAIN) -> None:
        """One look of a passage, before `weigh`."""
        self._gallery.note_look(template, passage.slot.volunteer_looks[kind])

    def undecided(self, passage: Passage) -> bool:
        """Whether a mirrored look is worth its time for a volunteer, as `Decision.undecided` is for the watchlist."""
        return self._open(passage) and undecided(self._nearest(passage), self._threshold_of)

    def weigh(self, frame: Frame, passage: Passage) -> None:
        """Look at a passage that was just weighed against the watchlist (rules 1 to 4)."""
        if not self._open(passage):
            return
        best = self._nearest(passage)
        if best.score >= self._threshold:
            self._stated.add(passage.id)
            self._findings.append(
                VolunteerFinding(
                    ref=self._refs[best.entry], score=best.score, threshold=self._threshold, decoded_ns=frame.decoded
                )
            )

    def _open(self, passage: Passage) -> bool:
        """Rules 3 and 4."""
        return passage.alerted_entry is None and passage.id not in self._stated

    def _nearest(self, passage: Passage) -> Best:
        return nearest_of(self._gallery, passage, passage.slot.volunteer_looks, self._threshold_of)

    def _threshold_of(self, _: int) -> float:
        return self._threshold

    def ended(self, passage: Passage) -> None:
        """A passage is over."""
        self._stated.discard(passage.id)

    def take(self) -> list[VolunteerFinding]:
        """What was found since the last call."""
        found, self._findings = self._findings, []
        return found
