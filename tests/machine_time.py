"""Time in which the machine ran what is measured: a real clock without the gaps in which a busy machine ran others.

A thread does nothing but sleep for `STEP_S`. Where it wakes late, at most `GAP_S` of that time counts. Of processes
that are named, the time also does not count during which a thread of theirs could run and waited for a processor
(`run_delay` of schedstat, Documentation/scheduler/sched-stats.rst).

A product that waits too long, or computes too long, is late by this clock on any machine: a sleeping thread waits for
no processor, and a running one has it. What was not scheduled is not late. Disks that are slow count.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType

STEP_S = 0.005
GAP_S = 0.010
READ_EVERY_S = 0.05
"""How often the waiting of processes is read; a reading takes a millisecond."""


class MachineTime:
    """Runs while its `with` block does; `seconds` never decreases.

    clock  monotonic seconds
    sleep  waits for a number of seconds
    waited  seconds that threads of the measured processes have waited for a processor since they began
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        waited: Callable[[], dict[int, float]] = dict,
    ) -> None:
        self._seconds = 0.0
        self._open = 0.0
        self._clock, self._sleep, self._waited = clock, sleep, waited
        self._last = self._read_at = clock()
        self._before = waited()
        self._ended = threading.Event()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="machine-time", daemon=True)

    def __enter__(self) -> MachineTime:
        self._last = self._read_at = self._clock()
        self._before = self._waited()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()

    @property
    def seconds(self) -> float:
        """What has counted so far."""
        with self._lock:
            self._read()
            return self._seconds

    def step(self) -> None:
        """Sleep once and count the time that has passed, at most GAP_S of it."""
        self._sleep(STEP_S)
        now = self._clock()
        with self._lock:
            self._open += min(now - self._last, GAP_S)
            self._last = now
            if now - self._read_at >= READ_EVERY_S:
                self._read()

    def _read(self) -> None:
        """Count the steps since the last reading, but for the waiting of the processes meanwhile."""
        waited = self._waited()
        waiting = sum(max(0.0, seconds - self._before.get(thread, 0.0)) for thread, seconds in waited.items())
        self._seconds += max(0.0, self._open - waiting)
        self._open, self._before, self._read_at = 0.0, waited, self._last

    def _run(self) -> None:
        while not self._ended.is_set():
            self.step()


def of_processes(processes: Callable[[], Iterable[int]]) -> MachineTime:
    """Machine time of these processes, asked for again at each reading; those that are gone are left out."""
    return MachineTime(waited=lambda: waited_s(processes()))


def waited_s(processes: Iterable[int]) -> dict[int, float]:
    """Thread id to seconds that it could run and waited for a processor; without the thread that asks."""
    found: dict[int, float] = {}
    for process in processes:
        for thread in Path(f"/proc/{process}/task").glob("[0-9]*"):
            try:
                found[int(thread.name)] = int((thread / "schedstat").read_text().split()[1]) / 1e9
            except (OSError, IndexError):
                continue
    found.pop(threading.get_native_id(), None)
    return found
