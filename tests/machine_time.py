"""Time during which the machine ran this process: a real clock without the gaps in which a busy machine ran others.

A thread does nothing but sleep for `STEP_S`. Where it wakes late, at most `GAP_S` of that time counts: a product that
waits too long is late by this clock on any machine, a process that was not scheduled is not.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import TracebackType

STEP_S = 0.005
GAP_S = 0.010


class MachineTime:
    """Runs while its `with` block does; `seconds` never decreases.

    clock  monotonic seconds
    sleep  waits for a number of seconds
    """

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self.seconds = 0.0
        self._clock = clock
        self._sleep = sleep
        self._last = clock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="machine-time", daemon=True)

    def __enter__(self) -> MachineTime:
        self._last = self._clock()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()

    def step(self) -> None:
        """Sleep once and count the time that has passed, at most GAP_S of it."""
        self._sleep(STEP_S)
        now = self._clock()
        self.seconds += min(now - self._last, GAP_S)
        self._last = now

    def _run(self) -> None:
        while not self._ended.is_set():
            self.step()
