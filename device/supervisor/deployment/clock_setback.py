"""Whether the wall clock was set back while this program runs: what has expired could then pass for what has not.

1. The first trusted reading, counted on by monotonic time, is what the clock must show at least. A clock that falls
   short of it by more than ALLOWED was set back, and counts as such until it is right again.
2. A clock that jumps forward and comes back is no fault here: what the jump ended stays ended (window.py).

In memory only: across restarts a clock before the last verified time is refused (device/sync/client.py, rule 3).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from device.domain.time import NS_PER_S, MonotonicNs, WallTime, rfc3339, wall

ALLOWED = timedelta(seconds=60)  # a time service that steps the clock back corrects seconds


@dataclass(slots=True)
class ClockSetback:
    """Watches one wall clock."""

    _first: tuple[WallTime, MonotonicNs] | None = None

    def finding(self, now: WallTime, monotonic: MonotonicNs, *, trusted: bool) -> str:
        """How it was set back, in words; empty when it was not. trusted: the clock is synchronised."""
        if self._first is None:
            if trusted:
                self._first = (now, monotonic)
            return ""
        began, since = self._first
        expected = wall(began + timedelta(seconds=(monotonic - since) / NS_PER_S))
        if now >= expected - ALLOWED:
            return ""
        return f"it was set back: it says {rfc3339(now)} and must say {rfc3339(expected)} or later"
