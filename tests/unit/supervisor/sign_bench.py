"""A sign on simulated lines and virtual time, for the tests of the sign."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from random import Random
from typing import Any

from device.domain.time import NS_PER_S
from device.edges.clock.fake import FakeClock
from device.edges.gpio.simulated import SimulatedGpio
from device.supervisor.sign.monitor import KINDS, SignMonitor

Play = Callable[..., Any]
STEP_S = 0.01


class NotedLines(SimulatedGpio):
    """Simulated lines that remember every switching of the sign."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(clock)
        self.clock = clock
        self.switchings: list[tuple[float, bool]] = []

    def drive_sign(self, lit: bool) -> None:
        if lit is not self.sign_driven:
            self.switchings.append((self.clock.monotonic() / NS_PER_S, lit))
        super().drive_sign(lit)


class Bench:
    """A sign on simulated lines with hands to break it."""

    def __init__(self, kind: str = "led", seed: int = 1) -> None:
        self.clock = FakeClock()
        self.lines = NotedLines(self.clock)
        self.watched = True
        self.sign = SignMonitor(
            self.lines,
            self.clock,
            KINDS[kind],
            watched=lambda: self.watched,
            on_change=lambda: None,
            source=Random(seed),
        )

    @property
    def now(self) -> float:
        return self.clock.monotonic() / NS_PER_S

    async def until(self, what: Callable[[], bool], within_s: float) -> float:
        """How long it took, in virtual seconds."""
        begun = self.now
        while not what():
            assert self.now - begun < within_s, f"not within {within_s} s: {self.sign.view()}"
            await asyncio.sleep(STEP_S)
        return self.now - begun

    async def lit(self) -> None:
        """Dark, then lit, and its first pulse followed."""
        while not self.sign.view().follows:
            self.sign.drive(True)
            await asyncio.sleep(STEP_S)
            assert self.now < 30, self.sign.view()


def scene(play: Play, bench: Bench, acts: Callable[[Bench], Awaitable[None]]) -> None:
    """Play a scene beside the sign's own task."""

    async def run() -> None:
        task = asyncio.create_task(bench.sign.run())
        try:
            await acts(bench)
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    play(bench.clock, run())


def trusted(bench: Bench) -> bool:
    """Whether the condition tables would let anybody be recognised by this sign."""
    view = bench.sign.view()
    return bool(view.driven and view.sensed and view.proved and view.follows)
