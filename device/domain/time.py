"""Time as the device uses it: three clocks that never mix.

MonotonicNs  the host's monotonic clock, for deadlines and latencies.
MediaNs      presentation time within one source, for every time of a passage.
WallTime     UTC, for people and for deployments; trusted only while the clock condition holds.
"""

from __future__ import annotations

from datetime import datetime, timezone
from typing import NewType

MonotonicNs = NewType("MonotonicNs", int)
MediaNs = NewType("MediaNs", int)
WallTime = NewType("WallTime", datetime)

NS_PER_S = 1_000_000_000
NS_PER_MS = 1_000_000


def wall(moment: datetime) -> WallTime:
    """UTC wall time of an aware datetime; a naive one is a ValueError."""
    if moment.tzinfo is None:
        raise ValueError("a wall time needs its time zone")
    return WallTime(moment.astimezone(timezone.utc))


def rfc3339(moment: WallTime) -> str:
    """Text form with milliseconds and Z (RFC 3339), as in every message."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"
