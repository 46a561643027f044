"""What flickers is told at once, and then once in a while, with how often it happened in between."""

from __future__ import annotations

from dataclasses import dataclass, field

from device.domain.time import NS_PER_S, MonotonicNs


@dataclass(slots=True)
class _Past:
    """What is not told yet of one thing, and when it was told last."""

    unreported: int = 0
    reported_ns: int | None = None


@dataclass(slots=True)
class RateLimiter:
    """Of each thing by its name: at most one telling in `quiet_s`; nothing that happens is lost, it is counted."""

    quiet_s: float
    _things: dict[str, _Past] = field(default_factory=dict)

    def record(self, name: str, times: int = 1) -> None:
        """It happened so often more."""
        self._things.setdefault(name, _Past()).unreported += times

    def take(self, name: str, now: MonotonicNs) -> int:
        """How often it happened since the last telling, which is then this one; 0 while it is not to be told."""
        past = self._things.setdefault(name, _Past())
        if not past.unreported or (past.reported_ns is not None and now - past.reported_ns < self.quiet_s * NS_PER_S):
            return 0
        unreported, past.unreported, past.reported_ns = past.unreported, 0, int(now)
        return unreported
