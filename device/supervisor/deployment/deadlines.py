"""Deadlines by two clocks, and detection of a wall clock that was set back.

1. The first trusted reading of the wall clock gives the time that is left of a window; monotonic time counts it down.
   Later readings may only shorten it, so a clock that is set back postpones nothing.
2. An untrusted wall clock is not used: until the first trusted reading a deployment lasts as long as its window is.
3. The first trusted reading, advanced by monotonic time, is the earliest time that the clock may show. A clock that is
   behind it by more than CLOCK_STEP_ALLOWED was set back, and counts as set back until it is right again.
4. A clock that jumps forward and returns is not reported as a fault; a window that the jump ended stays ended (rule 1).

In memory only. Across restarts the verified time of erasure_orders.py says whether a window is over, and a clock before
the last verified time is refused (device/sync/client.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from device.domain.time import NS_PER_S, MonotonicNs, WallTime, rfc3339, wall
from device.supervisor.timing import CLOCK_STEP_ALLOWED


@dataclass(slots=True)
class Deadline:
    """The end of one window from `start` to `end`."""

    start: WallTime
    end: WallTime
    _last_ns: int | None = None
    _known: bool = False

    def past(self, now: WallTime, monotonic: MonotonicNs, *, trusted: bool) -> bool:
        """Whether the window is over. trusted: the wall clock is synchronised, or does not have to be."""
        if trusted:
            left_ns = round((self.end - now).total_seconds() * NS_PER_S)
            last_ns = monotonic + left_ns
            self._last_ns = min(self._last_ns, last_ns) if self._known and self._last_ns is not None else last_ns
            self._known = True
        elif self._last_ns is None:
            self._last_ns = monotonic + round((self.end - self.start).total_seconds() * NS_PER_S)
        return self._last_ns is not None and monotonic >= self._last_ns


@dataclass(slots=True)
class ClockSetback:
    """Detects whether a wall clock was set back while this program runs (rules 3, 4)."""

    _first: tuple[WallTime, MonotonicNs] | None = None

    def finding(self, now: WallTime, monotonic: MonotonicNs, *, trusted: bool) -> str:
        """How it was set back; empty when it was not. trusted: the clock is synchronised."""
        if self._first is None:
            if trusted:
                self._first = (now, monotonic)
            return ""
        began, since = self._first
        expected = wall(began + timedelta(seconds=(monotonic - since) / NS_PER_S))
        if now >= expected - CLOCK_STEP_ALLOWED:
            return ""
        return f"it was set back: it shows {rfc3339(now)} and must show {rfc3339(expected)} or later"
