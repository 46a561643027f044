"""The sign monitor: drives the sign, reads its sensor, and verifies by pulses that the sensor sees this lamp.

1. The sign is driven only after it was sensed dark: a sensor that always reads lit proves nothing.
2. A sensed value counts after READINGS equal readings in a row, so that a single flicker is no failure; three dark
   ones, or SIGN_DARK_MOST_S of dark within any SIGN_DARK_WINDOW_S, are. A sensor that was not read for that long
   counts as dark.
3. After switching, the lamp gets its kind's settle_s before a dark reading counts.
4. Once lit, and then at least every PULSE_EVERY_S, it must follow a coded pulse (pulse.py), or a second one with
   another code a second later. A lamp that does not (sunlight, a short, a stuck relay) fails: `follows` is False.
5. A lamp that cannot blink (`discharge`) is switched off and on as a whole every REPROOF_S instead.
6. After a failed proof it stays off for a while, longer each time, so that a faulty sign does not blink.
7. GPIO lines that do not answer count as a dark sign, at once.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from random import Random, SystemRandom

from device.domain.time import NS_PER_S
from device.errors import GpioUnavailable
from device.logs import event
from device.ports.clock import Clock
from device.ports.gpio import SignGpio
from device.supervisor.conditions.snapshot import SignView
from device.supervisor.sign import pulse
from device.supervisor.sign.pulse import Answer
from device.supervisor.timing import (
    HOLD_OFF_MOST_S,
    HOLD_OFF_S,
    PULSE_EVERY_S,
    PULSE_LATEST_S,
    PULSE_REPEAT_S,
    PULSE_SOONEST_S,
    REPROOF_S,
    SIGN_DARK_MOST_S,
    SIGN_DARK_WINDOW_S,
    SIGN_READ_S,
)

_log = logging.getLogger(__name__)
READINGS = 3  # 0.15 s of the second within which recognition must stop
TRIES = 2
REPROOF_DUE = "this kind of sign cannot follow pulses, so it is switched off and on every 10 min; that is due"


@dataclass(frozen=True, slots=True)
class SignKind:
    """What a lamp can do. settle_s: until it must be seen lit or dark; pulses: whether it can go dark for 50 ms.

    Whether a lamp reaches these times is to be confirmed on the sign: `lfr status` shows its measured lag.
    """

    settle_s: float
    pulses: bool


KINDS = {"led": SignKind(2.0, pulses=True), "discharge": SignKind(10.0, pulses=False)}


@dataclass(slots=True)
class SignCounts:
    """Since the start. dark_ns: dark or not read while a worker ran (pulses do not count)."""

    dark_ns: int = 0
    pulses: int = 0
    pulses_failed: int = 0
    stops: int = 0


class SignMonitor:
    """The one sign. `run` reads the sensor and plays the pulses; `view` and `drive` are called from the same loop.

    watched    whether a worker recognises now: time in the dark counts then
    on_change  called when the view may have changed
    """

    def __init__(
        self,
        lines: SignGpio,
        clock: Clock,
        kind: SignKind,
        watched: Callable[[], bool],
        on_change: Callable[[], None],
        source: Random | None = None,
    ) -> None:
        self.counts = SignCounts()
        self._lines = lines
        self._clock = clock
        self._kind = kind
        self._watched = watched
        self._on_change = on_change
        self._source = source or SystemRandom()
        self._driven = False
        self._switchings = 0
        self._switched_ns = int(clock.monotonic())
        self._not_before_ns = 0
        self._failures = 0
        self._read_ns: int | None = None
        self._last: bool | None = None
        self._same = 0
        self._dark: deque[tuple[int, int]] = deque()
        self._sensed: bool | None = None
        self._seen_dark = False
        self._proved = False
        self._follows: bool | None = None
        self._followed_ns = 0
        self._next_pulse_ns = 0
        self._finding = ""
        self._problem = ""
        self._lag_s: float | None = None

    @property
    def driven(self) -> bool:
        """Whether it is switched on (a pulse of a lit sign does not count)."""
        return self._driven

    def view(self) -> SignView:
        """The sign's present state (rules 2, 7); readings and pulses that are too old do not count."""
        problem = self._problem or self._unseen()
        if problem:
            return SignView(driven=True, sensed=False, proved=False, settling=False, problem=problem)
        follows, finding = self._follows, self._finding
        if follows and self._kind.pulses and self._since_s(self._followed_ns) > PULSE_EVERY_S + PULSE_REPEAT_S:
            follows, finding = False, f"its last pulse was {self._since_s(self._followed_ns):.0f} s ago"
        return SignView(
            driven=self._driven,
            sensed=bool(self._sensed),
            proved=self._proved,
            settling=self._sensed is None or self._since_s(self._switched_ns) < self._kind.settle_s,
            follows=follows,
            finding=finding,
            problem=self._scattered() if self._driven and not self._sensed else "",
            pulses=self._kind.pulses,
            lag_ms=None if self._lag_s is None else round(self._lag_s * 1000, 1),
        )

    def drive(self, lit: bool) -> None:
        """Switch the sign; it is not lit before it was sensed dark, nor soon after a failed proof (rules 1, 6).

        Raises GpioUnavailable.
        """
        now = int(self._clock.monotonic())
        if lit == self._driven or (lit and (not self._seen_dark or now < self._not_before_ns)):
            return
        self._lines.drive_sign(lit)
        self._driven, self._switched_ns = lit, now
        self._switchings += 1
        self._dark.clear()
        if not lit:
            self._seen_dark, self._same = False, 0
            self._lose()

    async def run(self) -> None:
        """Read and pulse until cancelled. A pulse that is interrupted leaves the sign as it is driven."""
        while True:
            self.look()
            if self._pulse_is_due():
                await self._prove()
            await asyncio.sleep(SIGN_READ_S)

    def look(self) -> None:
        """Read the sensor once and update the state (rule 2)."""
        before = self._read_ns
        try:
            lit = self._read()
            if self._problem:
                self._lines.drive_sign(self._driven)
        except GpioUnavailable as fault:
            self._lines_lost(fault)
            return
        self._problem = ""
        self._same = self._same + 1 if lit is self._last else 1
        self._last = lit
        self._account(lit, before)
        if self._same >= READINGS:
            self._accept_reading(lit)
        if self._driven and self._scattered():
            self._lose()
            self._sensed = False
        if self._follows and not self._kind.pulses and self._since_s(self._followed_ns) > REPROOF_S:
            self._follows, self._finding = False, REPROOF_DUE
            self._on_change()

    def _accept_reading(self, lit: bool) -> None:
        """Accept a debounced reading: dark restarts the proof, lit while driven completes it."""
        if lit is not self._sensed:
            self._on_change()
        self._sensed = lit
        if not lit:
            self._seen_dark = True
            self._lose()
        elif self._driven and self._seen_dark and not self._proved:
            self._proved = True
            self._next_pulse_ns = int(self._clock.monotonic())
            if not self._kind.pulses:
                self._passed()

    def _lose(self) -> None:
        """Discard the proof."""
        self._proved, self._follows, self._finding = False, None, ""

    def _passed(self) -> None:
        self._follows, self._finding, self._failures = True, "", 0
        self._followed_ns = int(self._clock.monotonic())
        self._next_pulse_ns = self._followed_ns + round(
            self._source.uniform(PULSE_SOONEST_S, PULSE_LATEST_S) * NS_PER_S
        )
        self._on_change()

    def _failed(self, finding: str) -> None:
        """Record a failed proof: the loop switches the sign off, and it stays off for a while (rule 6)."""
        hold_off_s = min(HOLD_OFF_S * 2.0**self._failures, HOLD_OFF_MOST_S)
        self._failures += 1
        self._not_before_ns = int(self._clock.monotonic()) + round(hold_off_s * NS_PER_S)
        self._follows, self._finding = False, finding
        event(_log, "sign.does_not_follow", level=logging.ERROR, finding=finding, dark_s=hold_off_s)
        self._on_change()

    def _pulse_is_due(self) -> bool:
        due = self._kind.pulses and self._proved and self._follows is not False
        return due and not self._problem and self._clock.monotonic() >= self._next_pulse_ns

    async def _prove(self) -> None:
        """Play a pulse, and a second one if need be, at most three flashes a second (rule 4)."""
        finding, begun = "", int(self._clock.monotonic())
        for attempt in range(TRIES):
            if attempt and not await self._still_lit_after(begun):
                return
            begun = int(self._clock.monotonic())
            try:
                answer = await self._play()
            except GpioUnavailable as fault:
                self._lines_lost(fault)
                return
            if answer is None:
                return
            self.counts.pulses += 1
            self._lag_s = answer.lag_s
            if answer.followed:
                self._passed()
                return
            self.counts.pulses_failed += 1
            finding = answer.finding
        self._failed(finding)

    async def _still_lit_after(self, begun_ns: int) -> bool:
        """Keep reading until the next pulse may begin; whether the sign can still be pulsed."""
        while self._since_s(begun_ns) < PULSE_REPEAT_S:
            self.look()
            if not self._proved:
                return False
            await asyncio.sleep(SIGN_READ_S)
        return True

    async def _play(self) -> Answer | None:
        """One pulse; afterwards the line is as it is driven, however the pulse ended."""
        number = self._switchings

        def wanted() -> bool:
            return self._switchings == number

        try:
            code = pulse.draw_code(self._source)
            return await pulse.play(code, self._lines.drive_sign, self._read, self._clock, wanted)
        finally:
            if wanted():
                self._lines.drive_sign(True)

    def _read(self) -> bool:
        lit = self._lines.sign_sensed()
        self._read_ns = int(self._clock.monotonic())
        return lit

    def _lines_lost(self, fault: GpioUnavailable) -> None:
        if str(fault) != self._problem:
            event(_log, "lines.lost", level=logging.ERROR, problem=str(fault))
        self._problem, self._sensed, self._last, self._same = str(fault), False, None, 0
        self._lose()
        self._on_change()

    def _account(self, lit: bool, before_ns: int | None) -> None:
        """Add up the dark time since the last reading: all of it when this one is dark or came far too late."""
        if self._read_ns is None or before_ns is None or not self._driven:
            return
        gap_ns = self._read_ns - before_ns
        while self._dark and self._since_s(self._dark[0][0]) > SIGN_DARK_WINDOW_S:
            self._dark.popleft()
        if lit and gap_ns < SIGN_DARK_MOST_S * NS_PER_S:
            return
        self.counts.dark_ns += gap_ns if self._watched() else 0
        if self._since_s(self._switched_ns) >= self._kind.settle_s or self._sensed:
            self._dark.append((self._read_ns, gap_ns))

    def _scattered(self) -> str:
        """Whether the dark intervals add up to too much, as text (rule 2)."""
        dark_s = sum(ns for _, ns in self._dark) / NS_PER_S
        return f"dark for {dark_s:.1f} s of the last {SIGN_DARK_WINDOW_S:.0f} s" if dark_s >= SIGN_DARK_MOST_S else ""

    def _unseen(self) -> str:
        if self._read_ns is None or self._since_s(self._read_ns) < SIGN_DARK_MOST_S:
            return ""
        return f"the sensor was not read for {self._since_s(self._read_ns):.1f} s"

    def _since_s(self, moment_ns: int) -> float:
        return (self._clock.monotonic() - moment_ns) / NS_PER_S
