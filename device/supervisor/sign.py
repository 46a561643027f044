"""The sign: drives it, believes only what it senses, and remembers whether it was seen dark and then lit.

1. It is never driven before it was sensed dark: a sign that is always lit proves nothing.
2. A sensed value counts after SAMPLES equal readings, so that one flicker is not a failure.
3. After switching, the lamp gets SETTLE_S before a wrong reading counts.
"""

from __future__ import annotations

from device.domain.time import NS_PER_S
from device.ports.clock import Clock
from device.ports.lines import Lines
from device.supervisor.snapshot import SignView

SAMPLES = 2  # at ten a second: 0.2 s of the second within which recognition must stop
SETTLE_S = 2.0  # an LED sign behind a relay needs 0.1 s, a gas-discharge sign up to 2 s (to be confirmed on the sign)


class Sign:
    """The one sign. `sample` is called about ten times a second; raises LinesUnavailable."""

    def __init__(self, lines: Lines, clock: Clock) -> None:
        self._lines = lines
        self._clock = clock
        self._driven = False
        self._sensed: bool | None = None
        self._same = 0
        self._last: bool | None = None
        self._seen_dark = False
        self._proved = False
        self._switched_ns = int(clock.monotonic())

    def sample(self) -> SignView:
        """Read the sensor once and say how the sign stands."""
        now = self._lines.sign_sensed()
        self._same = self._same + 1 if now is self._last else 1
        self._last = now
        if self._same >= SAMPLES:
            self._believe(now)
        settling = self._sensed is None or self._since_switch_s() < SETTLE_S
        return SignView(driven=self._driven, sensed=bool(self._sensed), proved=self._proved, settling=settling)

    def drive(self, lit: bool) -> None:
        """Switch the sign; a request to light it before it was seen dark is not obeyed (rule 1)."""
        if lit == self._driven or (lit and not self._seen_dark):
            return
        self._lines.drive_sign(lit)
        self._driven = lit
        self._switched_ns = int(self._clock.monotonic())
        if not lit:
            self._seen_dark = self._proved = False

    def _believe(self, sensed: bool) -> None:
        """Note a debounced reading (rule 2): dark starts the proof, lit while driven completes it."""
        self._sensed = sensed
        if not sensed:
            self._seen_dark, self._proved = True, False
        elif self._driven and self._seen_dark:
            self._proved = True

    def _since_switch_s(self) -> float:
        return (self._clock.monotonic() - self._switched_ns) / NS_PER_S
