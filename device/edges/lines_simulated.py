"""Lines without hardware: a sign whose sensor follows its drive. Allowed only with recorded sources (configuration).

Also the fake of the port: it refuses what hardware refuses (use after close) and fails on request.
"""

from __future__ import annotations

from collections.abc import Callable

from device.errors import LinesUnavailable
from device.ports.lines import Lamp


class SimulatedLines:
    """A desk's sign and lamps.

    lamp_works   False: the sign stays dark however it is driven (a burnt-out lamp)
    stray_light  True: the sensor sees light whether or not the sign is driven (sunlight, a short)
    failing      True: every call raises LinesUnavailable (the GPIO chip is gone)
    """

    def __init__(self) -> None:
        self.lamp_works = True
        self.stray_light = False
        self.failing = False
        self.sign_driven = False
        self.lamps = dict.fromkeys(Lamp, False)
        self._on_stop: Callable[[], None] | None = None
        self._open = True

    def drive_sign(self, lit: bool) -> None:
        self._check()
        self.sign_driven = lit

    def sign_sensed(self) -> bool:
        self._check()
        return self.stray_light or (self.sign_driven and self.lamp_works)

    def light(self, lamp: Lamp, lit: bool) -> None:
        self._check()
        self.lamps[lamp] = lit

    def on_stop(self, callback: Callable[[], None]) -> None:
        self._check()
        self._on_stop = callback

    def press_stop(self) -> None:
        """What a hand on the button does."""
        if self._on_stop is not None:
            self._on_stop()

    def close(self) -> None:
        """Release the lines; the sign goes dark, as an unpowered relay does."""
        self.sign_driven = False
        self.lamps = dict.fromkeys(Lamp, False)
        self._open = False

    def _check(self) -> None:
        if self.failing:
            raise LinesUnavailable("the simulated lines were told to fail")
        if not self._open:
            raise LinesUnavailable("the simulated lines are closed")
