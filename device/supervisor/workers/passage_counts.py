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
from device.supervisor.workers.supervisor import WorkerRun


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
class RunningCounts:
    """The count at any moment: faces_seen by the comparison = discarded by the wipe + lost + alerted by us + open.

    telling: a worker lives, so its last beat may be older than our own count of alerts.
    """

    faces_seen: int
    discarded: int
    lost: int
    alerted: int
    alerted_by_worker: int
    open: int
    workers_running: bool

    @property
    def balanced(self) -> bool:
        gone = self.discarded + self.lost + self.open
        return self.faces_seen == gone + self.alerted and self.alerted == self.alerted_by_worker


@dataclass(slots=True)
class _RunCounts:
    """One life's last word. raised: alerts that the supervisor counted; told: its Finished has come."""

    counters: Counters
    raised: int = 0
    ended: bool = False
    final: bool = False

    @property
    def alerted(self) -> int:
        """Its own final count; before that ours, which is ahead of its last beat."""
        return self.counters.alerted if self.final else self.raised

    @property
    def compared(self) -> int:
        """People seen: its own final count; before that never less than what became of them."""
        seen = self.counters.faces_seen
        return seen if self.final else max(seen, self.counters.discarded + self.raised)

    @property
    def lost(self) -> int:
        """People in the memory of a worker that died (rule 2)."""
        return self.compared - self.counters.discarded - self.raised if self.ended and not self.final else 0


class PassageCounts:
    """Counts over all lives of all workers."""

    def __init__(self) -> None:
        self._runs: dict[tuple[str, int], _RunCounts] = {}

    def update(self, camera_id: str, run: int, counters: Counters) -> None:
        """A worker's totals since its start, from a beat or its end."""
        self._of_run(camera_id, run).counters = counters

    def alert_raised(self, camera_id: str, run: int) -> None:
        """The supervisor raised an alert for a new passage."""
        self._of_run(camera_id, run).raised += 1

    def run_ended(self, camera_id: str, run: WorkerRun) -> None:
        """A worker is gone; with Finished its counters are final, without they are its last beat's (rule 2)."""
        run_counts = self._of_run(camera_id, run.number)
        run_counts.ended = True
        if run.finished is not None:
            run_counts.counters, run_counts.final = run.finished.counters, True

    @property
    def lost(self) -> int:
        """People whose worker died, over all lives."""
        return sum(run_counts.lost for run_counts in self._runs.values())

    def totals(self) -> Counters:
        """All lives together, for stats and status; while a life is open its open passages are in open_passages."""
        total = Counters()
        for run_counts in self._runs.values():
            for name in _SUMMED:
                setattr(total, name, getattr(total, name) + getattr(run_counts.counters, name))
            total.faces_seen += run_counts.compared
            total.open_passages += 0 if run_counts.ended else run_counts.counters.open_passages
            histogram = run_counts.counters.score_histogram
            total.score_histogram = [run + b for run, b in zip(total.score_histogram, histogram, strict=True)]
        return total

    def balance(self) -> Balance:
        """The three numbers as they stand; only meaningful once every worker has ended."""
        all_runs = self._runs.values()
        return Balance(
            faces_seen=sum(run_counts.compared for run_counts in all_runs),
            discarded=sum(run_counts.counters.discarded for run_counts in all_runs),
            lost=self.lost,
            alerted=sum(run_counts.raised for run_counts in all_runs),
            alerted_by_worker=sum(run_counts.alerted for run_counts in all_runs),
        )

    def running(self) -> RunningCounts:
        """The three numbers now, each as its own place tells it: nothing is inferred while a worker lives."""
        all_runs = self._runs.values()
        return RunningCounts(
            faces_seen=sum(run.compared if run.ended else run.counters.faces_seen for run in all_runs),
            discarded=sum(run.counters.discarded for run in all_runs),
            lost=self.lost,
            alerted=sum(run.raised for run in all_runs),
            alerted_by_worker=sum(run.alerted if run.ended else run.counters.alerted for run in all_runs),
            open=sum(0 if run.ended else run.counters.open_passages for run in all_runs),
            workers_running=any(not run.ended for run in all_runs),
        )

    def _of_run(self, camera_id: str, run: int) -> _RunCounts:
        return self._runs.setdefault((camera_id, run), _RunCounts(Counters()))


_SUMMED = tuple(set(msgspec.structs.asdict(Counters())) - {"score_histogram", "faces_seen", "open_passages"})
