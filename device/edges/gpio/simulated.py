"""GPIO without hardware: a lamp with a delay, a sensor that sees the lamp and stray light, wires that can break.

Allowed only with recorded sources (configuration). Also the fake of the port: it refuses what hardware refuses (use
after close) and fails on request.

1. The sensor sees light: the lamp's, or stray light. It does not see the drive level.
2. The lamp follows its drive LAG_S later; the sensor follows the lamp at once.
3. Every fault is an attribute; it may be set and cleared at any moment.
"""

from __future__ import annotations

from collections.abc import Callable

from device.domain.time import NS_PER_S
from device.edges.clock.system import SystemClock
from device.errors import GpioUnavailable
from device.ports.clock import Clock
from device.ports.gpio import Lamp

LAG_S = 0.01  # a relay's release time with its opto-coupler; an LED behind a transistor is a thousand times faster
REMEMBERED = 64  # switchings; more than a lamp with any sensible lag can still have before it


class SimulatedGpio:
    """A desk's sign and lamps.

    lamp_works   False: the sign stays dark however it is driven (a burnt-out lamp, a blown fuse)
    lamp_stuck   True: the sign stays lit however it is driven (a welded relay contact, a shorted transistor)
    flicker_s    above 0: while lit, the lamp goes dark for this long every 2 * flicker_s (a loose contact)
    lag_s        how long after its drive the lamp follows (a slow lamp, a power supply that holds up)
    stray_light  True: the sensor sees light whether or not the sign is lit (sunlight, a headlight)
    wire_cut     True: the sensor's wire is cut; its pull-down reads dark
    failing      True: every call raises GpioUnavailable (the GPIO chip is gone)
    stop_held    True: the STOP contact is open: pressed and held, or its wire is cut
    """

    def __init__(self, clock: Clock | None = None) -> None:
        self.lamp_works = True
        self.lamp_stuck = False
        self.flicker_s = 0.0
        self.lag_s = LAG_S
        self.stray_light = False
        self.wire_cut = False
        self.failing = False
        self.stop_held = False
        self.sign_driven = False
        self.lamps = dict.fromkeys(Lamp, False)
        self._clock = clock or SystemClock()
        self._switched: list[tuple[int, bool]] = []
        self._on_stop: Callable[[], None] | None = None
        self._on_tamper: Callable[[], None] | None = None
        self._on_blue_list_button: Callable[[], None] | None = None
        self._open = True

    def drive_sign(self, lit: bool) -> None:
        self._check()
        if lit != self.sign_driven:
            self._switched = [*self._switched[1 - REMEMBERED :], (int(self._clock.monotonic()), lit)]
        self.sign_driven = lit

    def sign_sensed(self) -> bool:
        self._check()
        return not self.wire_cut and (self.stray_light or self.lamp_shines)

    @property
    def lamp_shines(self) -> bool:
        """Whether the sign is lit at this moment: the truth, which a real device cannot read."""
        if self.lamp_stuck:
            return True
        if not self.lamp_works or not self._arrived():
            return False
        period_ns = round(self.flicker_s * NS_PER_S)
        return period_ns == 0 or self._clock.monotonic() // period_ns % 2 == 0

    def light(self, lamp: Lamp, lit: bool) -> None:
        self._check()
        self.lamps[lamp] = lit

    def on_stop(self, callback: Callable[[], None]) -> None:
        """Call back when the contact opens, and at once if it is open already."""
        self._check()
        self._on_stop = callback
        if self.stop_held:
            callback()

    def press_stop(self) -> None:
        """Press the STOP button."""
        if self._on_stop is not None:
            self._on_stop()

    def on_tamper(self, callback: Callable[[], None]) -> None:
        self._check()
        self._on_tamper = callback

    def tamper(self) -> None:
        """Open the housing."""
        if self._on_tamper is not None:
            self._on_tamper()

    def on_blue_list_button(self, callback: Callable[[], None]) -> None:
        self._check()
        self._on_blue_list_button = callback

    def press_blue_list_button(self) -> None:
        """Press the blue-list button once."""
        if self._on_blue_list_button is not None:
            self._on_blue_list_button()

    def close(self) -> None:
        """Release the lines; the sign goes dark, as an unpowered relay does."""
        self.sign_driven = False
        self._switched = []
        self.lamps = dict.fromkeys(Lamp, False)
        self._open = False

    def _arrived(self) -> bool:
        """What was driven lag_s ago (rule 2); before the first switching the sign is off."""
        then = self._clock.monotonic() - round(self.lag_s * NS_PER_S)
        return next((lit for at, lit in reversed(self._switched) if at <= then), False)

    def _check(self) -> None:
        if self.failing:
            raise GpioUnavailable("the simulated lines fail as requested")
        if not self._open:
            raise GpioUnavailable("the simulated lines are closed")
