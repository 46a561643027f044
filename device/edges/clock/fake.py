"""A clock that moves only when it is advanced, for simulations and tests."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from device.domain.time import NS_PER_S, MonotonicNs, WallTime, wall

START = datetime(2026, 11, 23, 10, 0, tzinfo=timezone.utc)


class FakeClock:
    """Monotonic time only moves forward; the wall clock may be set to anything and may lose its synchronisation."""

    def __init__(self, start: datetime = START) -> None:
        self._monotonic_ns = NS_PER_S
        self._wall = wall(start)
        self.is_synchronised = True

    def monotonic(self) -> MonotonicNs:
        return MonotonicNs(self._monotonic_ns)

    def wall(self) -> WallTime:
        return self._wall

    def synchronised(self) -> bool:
        return self.is_synchronised

    def advance(self, seconds: float) -> None:
        """Let both clocks move forward."""
        if seconds < 0:
            raise ValueError("monotonic time does not go back; use set_wall")
        self._monotonic_ns += round(seconds * NS_PER_S)
        self._wall = wall(self._wall + timedelta(seconds=seconds))

    def set_wall(self, moment: datetime) -> None:
        """Set the wall clock, forward or back, as an operator or a time server may."""
        self._wall = wall(moment)
