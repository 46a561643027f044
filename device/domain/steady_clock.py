"""Whether a wall clock runs evenly with monotonic time, so that what it shows may be kept for later.

A time that is kept (the latest verified time, by which deletions and expiry are judged later) can only grow. A clock
that jumps forward for some seconds and returns would otherwise block a device for as long as it had jumped.

1. A reading is steady when the clock has agreed with monotonic time, within STEP_ALLOWED, for STEADY_S.
2. A reading that disagrees starts the wait anew.
3. The last steady reading, advanced by monotonic time, stays the measure: a clock that agrees with it again after a
   jump was right before the jump and is right now. A clock that is behind it is never steady, however long it runs so.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from device.domain.time import NS_PER_S, MonotonicNs, WallTime, wall

STEADY_S = 60.0
STEP_ALLOWED = timedelta(seconds=5)  # a time service slews or steps by less once it is synchronised

Reading = tuple[WallTime, MonotonicNs]


@dataclass(slots=True)
class SteadyClock:
    """One clock's readings, in order of monotonic time."""

    _since: Reading | None = None
    _steady: Reading | None = None

    def observe(self, now: WallTime, monotonic: MonotonicNs, *, synchronised: bool) -> bool:
        """Take a reading; whether it is steady (rules 1, 2)."""
        if not synchronised:
            self._since = None
            return False
        if self._since is None or not _agrees(self._since, now, monotonic):
            self._since = (now, monotonic)
        if monotonic - self._since[1] < STEADY_S * NS_PER_S or self._behind(now, monotonic):
            return False
        self._steady = (now, monotonic)
        return True

    def returned(self, now: WallTime, monotonic: MonotonicNs) -> bool:
        """Whether this reading agrees with the last steady one (rule 3)."""
        return self._steady is not None and _agrees(self._steady, now, monotonic)

    def _behind(self, now: WallTime, monotonic: MonotonicNs) -> bool:
        return self._steady is not None and now < _expected(self._steady, monotonic) - STEP_ALLOWED


def _expected(reading: Reading, monotonic: MonotonicNs) -> WallTime:
    then, since = reading
    return wall(then + timedelta(seconds=(monotonic - since) / NS_PER_S))


def _agrees(reading: Reading, now: WallTime, monotonic: MonotonicNs) -> bool:
    return abs(now - _expected(reading, monotonic)) <= STEP_ALLOWED
