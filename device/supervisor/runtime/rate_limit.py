"""Rate limiter: report the first event at once, then at most one every `quiet_s` with the count since."""

from __future__ import annotations

from dataclasses import dataclass, field

from device.domain.time import NS_PER_S, MonotonicNs


@dataclass(slots=True)
class _Events:
    """Events of one name: those not reported yet, and when the last report was made."""

    unreported: int = 0
    reported_ns: int | None = None


@dataclass(slots=True)
class RateLimiter:
    """By name: at most one report in `quiet_s`. No event is lost, it is counted in the next report."""

    quiet_s: float
    _events: dict[str, _Events] = field(default_factory=dict)

    def record(self, name: str, times: int = 1) -> None:
        """Count `times` events."""
        self._events.setdefault(name, _Events()).unreported += times

    def take(self, name: str, now: MonotonicNs) -> int:
        """The number of events for a report that is made now; 0 while no report is due."""
        events = self._events.setdefault(name, _Events())
        if not events.unreported:
            return 0
        if events.reported_ns is not None and now - events.reported_ns < self.quiet_s * NS_PER_S:
            return 0
        unreported, events.unreported, events.reported_ns = events.unreported, 0, int(now)
        return unreported
