"""Port: the clocks."""

from __future__ import annotations

from typing import Protocol

from device.domain.time import MonotonicNs, WallTime


class Clock(Protocol):
    """Monotonic and wall time; `synchronised`: whether the wall time may be trusted."""

    def monotonic(self) -> MonotonicNs: ...

    def wall(self) -> WallTime: ...

    def synchronised(self) -> bool: ...
