"""Passages that raised one entry while they were in view together: two people, of whom at most one is listed.

1. Together means on two tracks in the present frame, or both for longer than one moment: a track that changes passages
   is in both for one frame.
2. Of a passage that ended only its number, its entry and its times are kept, nothing personal; KEPT passages at most.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence, Set
from typing import NamedTuple

from device.domain.time import MediaNs
from device.vision.passages import Passage

KEPT = 64


class _Ended(NamedTuple):
    id: int
    alerted_entry: int
    first_seen: MediaNs
    last_seen: MediaNs


class RaisedPassages:
    """Keeps the passages of one camera that raised an alert and ended; one owner thread."""

    def __init__(self) -> None:
        self._ended: deque[_Ended] = deque(maxlen=KEPT)

    def ended(self, passage: Passage) -> None:
        """A passage ends; call before it is wiped."""
        if passage.alerted_entry is not None:
            self._ended.append(
                _Ended(passage.id, passage.alerted_entry, passage.first_seen, passage.last_seen),
            )

    def rivals(self, passage: Passage, others: Sequence[Passage], in_view: Set[int]) -> tuple[int, ...]:
        """Numbers of the passages that raised the same entry as `passage` and were in view with it, ascending.

        others   the open passages, with or without `passage` itself
        in_view  numbers of the passages that have a track in the present frame
        """
        known: list[Passage | _Ended] = [*others, *self._ended]
        return tuple(
            sorted(
                other.id
                for other in known
                if other.id != passage.id
                and other.alerted_entry == passage.alerted_entry
                and (
                    {other.id, passage.id} <= in_view
                    or max(other.first_seen, passage.first_seen) < min(other.last_seen, passage.last_seen)
                )
            )
        )
