"""The device's own lamps: power, recognising, alert, fault, hub, tower. (The public sign is in monitor.py.)"""

from __future__ import annotations

import logging

from device.domain.time import NS_PER_S
from device.errors import GpioUnavailable
from device.logs import event
from device.ports.clock import Clock
from device.ports.gpio import TOWER, Lamp, Signals
from device.supervisor.sign.blink_codes import OFF, BlinkCode

_log = logging.getLogger(__name__)


class Indicators:
    """Switches lamps; `lit` holds each lamp's last state, `code` what the tower lamp shows."""

    def __init__(self, gpio: Signals, clock: Clock) -> None:
        self.lit = dict.fromkeys(Lamp, False)
        self.code = OFF
        self._gpio = gpio
        self._clock = clock
        self._since_ns = 0

    def light(self, lamp: Lamp, lit: bool) -> None:
        """Switch one lamp if its state differs. A GPIO fault is logged; the next call retries."""
        if self.lit[lamp] is lit:
            return
        try:
            self._gpio.light(lamp, lit)
            self.lit[lamp] = lit
        except GpioUnavailable as fault:
            event(_log, "lamp.cannot_be_driven", level=logging.ERROR, lamp=lamp.value, problem=str(fault))

    def show(self, code: BlinkCode) -> None:
        """Show a code on the tower lamp; a new one begins with its first blink."""
        if code is not self.code:
            self.code, self._since_ns = code, int(self._clock.monotonic())
        self.blink()

    def blink(self) -> None:
        """Switch the tower lamp as its code has it at this moment."""
        lit = self.code.lit((self._clock.monotonic() - self._since_ns) / NS_PER_S)
        for lamp in TOWER:
            self.light(lamp, lit and self.code.lights(lamp))
