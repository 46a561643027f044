"""The count of people: what the comparison saw, the wipe discarded and the supervisor alerted must balance.

1. faces_seen and discarded come from the workers (two places), alerts from the supervisor's own desk (the third).
2. A worker that ended with Finished has told its final counters. One that was killed has not: what its memory held is
   gone with it, so the passages that were open at its last beat count as discarded by its end, and are named as such.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from device.domain.finding import Counters
from device.supervisor.keeper import Life


@dataclass(frozen=True, slots=True)
class Balance:
    """faces_seen = discarded + discarded_by_exit + alerted, and the worker's count of alerts is ours."""

    faces_seen: int
    discarded: int
    discarded_by_exit: int
    alerted: int
    alerted_by_worker: int

    @property
    def holds(self) -> bool:
        gone = self.discarded + self.discarded_by_exit
        return self.faces_seen == gone + self.alerted and self.alerted == self.alerted_by_worker


@dataclass(slots=True)
class _Account:
    """One life's last word."""

    counters: Counters
    alerted: int = 0
    ended: bool = False
    told: bool = False


class Ledger:
    """Counts over all lives of all workers."""

    def __init__(self) -> None:
        self._accounts: dict[tuple[str, int], _Account] = {}

    def tell(self, camera_id: str, life: int, counters: Counters) -> None:
        """A worker's totals since its start, from a beat or its end."""
        self._account(camera_id, life).counters = counters

    def alert(self, camera_id: str, life: int) -> None:
        """The supervisor raised an alert for a new passage."""
        self._account(camera_id, life).alerted += 1

    def end(self, camera_id: str, life: Life) -> None:
        """A worker is gone; with Finished its counters are final, without they are its last beat's (rule 2)."""
        account = self._account(camera_id, life.number)
        account.ended = True
        if life.finished is not None:
            account.counters, account.told = life.finished.counters, True

    def totals(self) -> Counters:
        """All lives together, for stats and status; while a life is open its open passages are in open_passages."""
        total = Counters()
        for account in self._accounts.values():
            for name in _SUMMED:
                setattr(total, name, getattr(total, name) + getattr(account.counters, name))
            if account.ended:
                total.open_passages -= account.counters.open_passages
            histogram = account.counters.score_histogram
            total.score_histogram = [a + b for a, b in zip(total.score_histogram, histogram, strict=True)]
        return total

    def balance(self) -> Balance:
        """The three numbers as they stand; only meaningful once every worker has ended."""
        seen = discarded = by_exit = alerted = by_worker = 0
        for account in self._accounts.values():
            counters = account.counters
            raised = counters.alerted if account.told else account.alerted
            compared = counters.faces_seen if account.told else max(counters.faces_seen, counters.discarded + raised)
            seen += compared
            discarded += counters.discarded
            by_exit += 0 if account.told else compared - counters.discarded - raised
            alerted += account.alerted
            by_worker += raised
        return Balance(seen, discarded, by_exit, alerted, by_worker)

    def _account(self, camera_id: str, life: int) -> _Account:
        return self._accounts.setdefault((camera_id, life), _Account(Counters()))


_SUMMED = tuple(f for f in msgspec.structs.asdict(Counters()) if f != "score_histogram")
