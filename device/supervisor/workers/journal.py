"""Prints the workers' journal lines with their camera's name, at a limited rate.

1. Only a text of device/wire/journal_texts.py is printed. For any other the line states only that one came: a worker
   whose memory was taken over cannot write what it saw.
2. At most one line per camera and text in WORKER_JOURNAL_QUIET_S; `times` is the number since the last one.
"""

from __future__ import annotations

import logging

from device.logs import event
from device.ports.clock import Clock
from device.supervisor.runtime.rate_limit import RateLimiter
from device.supervisor.timing import WORKER_JOURNAL_QUIET_S
from device.wire.journal_texts import name_of
from device.wire.link import JournalLine, Level

_log = logging.getLogger(__name__)
UNKNOWN = "a line that matches no known text was not printed"


class WorkerJournal:
    """The journal lines of all workers."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._limiter = RateLimiter(WORKER_JOURNAL_QUIET_S)

    def log(self, camera: str, line: JournalLine) -> None:
        """Print one line, unless the same text was printed for this camera shortly before (rules 1, 2)."""
        text = name_of(line.text)
        key = f"{camera} {text}"
        self._limiter.record(key)
        times = self._limiter.take(key, self._clock.monotonic())
        if times:
            warning = text is None or line.level is Level.WARNING
            event(
                _log,
                "worker.journal",
                level=logging.WARNING if warning else logging.INFO,
                camera=camera,
                text=UNKNOWN if text is None else line.text,
                times=times,
            )
