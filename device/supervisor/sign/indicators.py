"""The device's own lamps: power, recognising, alert, fault. (The public sign is in monitor.py.)"""

from __future__ import annotations

import logging

from device.errors import GpioUnavailable
from device.logs import event
from device.ports.gpio import Lamp, Signals

_log = logging.getLogger(__name__)


class Indicators:
    """Switches lamps; `lit` holds each lamp's last state."""

    def __init__(self, gpio: Signals) -> None:
        self.lit = dict.fromkeys(Lamp, False)
        self._gpio = gpio

    def light(self, lamp: Lamp, lit: bool) -> None:
        """Switch one lamp if its state differs. A GPIO fault is logged; the next call retries."""
        if self.lit[lamp] is lit:
            return
        try:
            self._gpio.light(lamp, lit)
            self.lit[lamp] = lit
        except GpioUnavailable as fault:
            event(_log, "lamp.cannot_be_driven", level=logging.ERROR, lamp=lamp.value, problem=str(fault))
