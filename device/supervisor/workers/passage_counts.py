"""Counts of passages: faces seen (worker), discarded (worker) and alerted (supervisor) must balance.

1. faces_seen and discarded come from the workers (two places in them), alerts from the supervisor's own count.
2. A worker that ended with Finished has reported its final counters. One that was killed has not: its memory is gone,
   so the passages that were open at its last beat count as discarded, under the name `lost`.
3. Totals never decrease: a run's counters stay when the next run of its worker starts at zero.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from device.domain.finding import Counters
from device.supervisor.workers.supervisor import WorkerRun


@dataclass(frozen=True, slots=True)
class Balance:
    """faces_seen = discarded + lost + alerted, and the worker's count of alerts equals the supervisor's."""

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
    """The counts at any moment: faces_seen = discarded + lost + alerted by the supervisor + open.

    workers_running: a worker runs, so its last beat may be older than the supervisor's count of alerts.
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
    """Counters of one run. raised: alerts that the supervisor counted; final: its Finished was received."""

    counters: Counters
    raised: int = 0
    ended: bool = False
    final: bool = False

    @property
    def alerted(self) -> int:
        """The run's final count; before that the supervisor's, which is ahead of the last beat."""
        return self.counters.alerted if self.final else self.raised

    @property
    def compared(self) -> int:
        """Faces seen: the final count; before that at least those that were discarded or alerted."""
        seen = self.counters.faces_seen
        return seen if self.final else max(seen, self.counters.discarded + self.raised)

    @property
    def lost(self) -> int:
        """Passages in the memory of a worker that died (rule 2)."""
        return self.compared - self.counters.discarded - self.raised if self.ended and not self.final else 0


class PassageCounts:
    """Counts over all runs of all workers."""

    def __init__(self) -> None:
        self._runs: dict[tuple[str, int], _RunCounts] = {}

    def update(self, camera_id: str, run: int, counters: Counters) -> None:
        """A worker's totals since its start, from a beat or its end."""
        self._of_run(camera_id, run).counters = counters

    def alert_raised(self, camera_id: str, run: int) -> None:
        """The supervisor raised an alert for a new passage."""
        self._of_run(camera_id, run).raised += 1

    def run_ended(self, camera_id: str, run: WorkerRun) -> None:
        """A worker is gone. Its counters are those of Finished, or without one those of its last beat (rule 2)."""
        run_counts = self._of_run(camera_id, run.number)
        run_counts.ended = True
        if run.finished is not None:
            run_counts.counters, run_counts.final = run.finished.counters, True

    @property
    def lost(self) -> int:
        """Passages whose worker died, over all runs."""
        return sum(run_counts.lost for run_counts in self._runs.values())

    def totals(self) -> Counters:
        """All runs together, for stats and status; open_passages are those of the runs that have not ended."""
        total = Counters()
        for run_counts in self._runs.values():
            for name in _SUMMED:
                setattr(total, name, getattr(total, name) + getattr(run_counts.counters, name))
            total.faces_seen += run_counts.compared
            total.open_passages += 0 if run_counts.ended else run_counts.counters.open_passages
            histogram = run_counts.counters.score_histogram
            total.score_histogram = [a + b for a, b in zip(total.score_histogram, histogram, strict=True)]
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
        """The three numbers now, each from its own source: nothing is inferred while a worker runs."""
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
