"""An event loop on virtual time: it jumps to its next timer instead of waiting."""

from __future__ import annotations

import asyncio
import selectors
from typing import Any

from device.edges.clock.fake import FakeClock


class VirtualLoop(asyncio.SelectorEventLoop):
    """Time jumps to the next timer instead of passing; a loop that waits for nothing at all is a failed test."""

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        super().__init__(_JumpingSelector(clock))

    def time(self) -> float:
        return self._clock.monotonic() / 1e9


class _JumpingSelector(selectors.DefaultSelector):
    def __init__(self, clock: FakeClock) -> None:
        super().__init__()
        self._clock = clock

    def select(self, timeout: float | None = None) -> Any:
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        if timeout is None:
            raise AssertionError("everything waits and nothing will happen")
        # At least a microsecond: asyncio rounds deadlines, and time must not stand still.
        self._clock.advance(max(timeout, 1e-6))
        return ready
