"""When a time is over, by two clocks, whichever says so first: a deployment's window, the life of signatures.

1. A trusted wall clock says how much of the window is left; from then on monotonic time counts that down. Later
   readings may only shorten it, so a clock that is set back postpones nothing.
2. An untrusted wall clock is not asked: until the first trusted reading a deployment lasts as long as its window is.

In memory only: across restarts the verified time of `orders.py` says whether the window is over.
"""

from __future__ import annotations

from dataclasses import dataclass

from device.domain.time import NS_PER_S, MonotonicNs, WallTime


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
