"""The count of people: what the comparison saw, the wipe discarded and the supervisor alerted must balance.

1. faces_seen and discarded come from the workers (two places), alerts from the supervisor's own desk (the third).
2. A worker that ended with Finished has told its final counters. One that was killed has not: what its memory held is
   gone with it, so the passages that were open at its last beat count as discarded, under a name of their own: lost.
3. The totals never go back: what a life has told stays when the next one begins at nought.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from device.domain.finding import Counters
from device.supervisor.workers.supervisor import Life


@dataclass(frozen=True, slots=True)
class Balance:
    """faces_seen = discarded + lost + alerted, and the worker's count of alerts is ours."""

    faces_seen: int
    discarded: int
    lost: int
    alerted: int
    alerted_by_worker: int

    @property
    def holds(self) -> bool:
        gone = self.discarded + self.lost
        return self.faces_seen == gone + self.alerted and self.alerted == self.alerted_by_worker


@dataclass(frozen=True, slots=True)
class Reading:
    """The count at any moment: faces_seen by the comparison = discarded by the wipe + lost + alerted by us + open.

    telling: a worker lives, so its last beat may be older than our own count of alerts.
    """

    faces_seen: int
    discarded: int
    lost: int
    alerted: int
    alerted_by_worker: int
    open: int
    telling: bool

    @property
    def balanced(self) -> bool:
        gone = self.discarded + self.lost + self.open
        return self.faces_seen == gone + self.alerted and self.alerted == self.alerted_by_worker


@dataclass(slots=True)
class _Account:
    """One life's last word. raised: alerts that the supervisor counted; told: its Finished has come."""

    counters: Counters
    raised: int = 0
    ended: bool = False
    told: bool = False

    @property
    def alerted(self) -> int:
        """Its own final count; before that ours, which is ahead of its last beat."""
        return self.counters.alerted if self.told else self.raised

    @property
    def compared(self) -> int:
        """People seen: its own final count; before that never less than what became of them."""
        seen = self.counters.faces_seen
        return seen if self.told else max(seen, self.counters.discarded + self.raised)

    @property
    def lost(self) -> int:
        """People in the memory of a worker that died (rule 2)."""
        return self.compared - self.counters.discarded - self.raised if self.ended and not self.told else 0


class Ledger:
    """Counts over all lives of all workers."""

    def __init__(self) -> None:
        self._accounts: dict[tuple[str, int], _Account] = {}

    def tell(self, camera_id: str, life: int, counters: Counters) -> None:
        """A worker's totals since its start, from a beat or its end."""
        self._account(camera_id, life).counters = counters

    def alert(self, camera_id: str, life: int) -> None:
        """The supervisor raised an alert for a new passage."""
        self._account(camera_id, life).raised += 1

    def end(self, camera_id: str, life: Life) -> None:
        """A worker is gone; with Finished its counters are final, without they are its last beat's (rule 2)."""
        account = self._account(camera_id, life.number)
        account.ended = True
        if life.finished is not None:
            account.counters, account.told = life.finished.counters, True

    @property
    def lost(self) -> int:
        """People whose worker died, over all lives."""
        return sum(account.lost for account in self._accounts.values())

    def totals(self) -> Counters:
        """All lives together, for stats and status; while a life is open its open passages are in open_passages."""
        total = Counters()
        for account in self._accounts.values():
            for name in _SUMMED:
                setattr(total, name, getattr(total, name) + getattr(account.counters, name))
            total.faces_seen += account.compared
            total.open_passages += 0 if account.ended else account.counters.open_passages
            histogram = account.counters.score_histogram
            total.score_histogram = [a + b for a, b in zip(total.score_histogram, histogram, strict=True)]
        return total

    def balance(self) -> Balance:
        """The three numbers as they stand; only meaningful once every worker has ended."""
        accounts = self._accounts.values()
        return Balance(
            faces_seen=sum(account.compared for account in accounts),
            discarded=sum(account.counters.discarded for account in accounts),
            lost=self.lost,
            alerted=sum(account.raised for account in accounts),
            alerted_by_worker=sum(account.alerted for account in accounts),
        )

    def reading(self) -> Reading:
        """The three numbers now, each as its own place tells it: nothing is inferred while a worker lives."""
        accounts = self._accounts.values()
        return Reading(
            faces_seen=sum(a.compared if a.ended else a.counters.faces_seen for a in accounts),
            discarded=sum(a.counters.discarded for a in accounts),
            lost=self.lost,
            alerted=sum(a.raised for a in accounts),
            alerted_by_worker=sum(a.alerted if a.ended else a.counters.alerted for a in accounts),
            open=sum(0 if a.ended else a.counters.open_passages for a in accounts),
            telling=any(not a.ended for a in accounts),
        )

    def _account(self, camera_id: str, life: int) -> _Account:
        return self._accounts.setdefault((camera_id, life), _Account(Counters()))


_SUMMED = tuple(set(msgspec.structs.asdict(Counters())) - {"score_histogram", "faces_seen", "open_passages"})
