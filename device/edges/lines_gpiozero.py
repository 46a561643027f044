"""Lines over gpiozero: the sign's relay, its sensor, the lamps and the STOP contact by header pin.

1. The sensor input has a pull-down: a cut wire reads dark.
2. STOP and the tamper switch are normally closed contacts to ground with a pull-up: pressed, or a cut wire, reads STOP;
   opened, or a cut wire, reads tampered.
3. Outputs start low, and close drives them low before it releases them.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from device.config.model import LinesConfig
from device.errors import LinesUnavailable
from device.ports.lines import Lamp

DEVICE_TREE = Path("/proc/device-tree/compatible")
TEGRA = (b"nvidia,tegra234", b"nvidia,tegra264")


class GpiozeroLines:
    """The housing's lines. gpiozero calls back on a thread of its own; the owner moves that to its loop."""

    def __init__(self, config: LinesConfig) -> None:
        """Claim every line; LinesUnavailable names the one that cannot be claimed."""
        self._open: list[Any] = []
        self._lamps: dict[Lamp, Any] = {}
        try:
            import gpiozero
        except ImportError as fault:
            raise LinesUnavailable(f"gpiozero cannot be imported: {fault}") from fault
        _choose_factory(gpiozero)
        try:
            self._sign = self._claim(gpiozero.DigitalOutputDevice, "sign", config.sign, initial_value=False)
            self._sense = self._claim(gpiozero.DigitalInputDevice, "sign_sense", config.sign_sense, pull_up=False)
            self._stop = self._claim(gpiozero.DigitalInputDevice, "stop", config.stop, pull_up=True)
            self._tamper = None
            if config.tamper is not None:
                self._tamper = self._claim(gpiozero.DigitalInputDevice, "tamper", config.tamper, pull_up=True)
            for lamp in Lamp:
                pin = getattr(config.lamps, lamp.value)
                if pin is not None:
                    self._lamps[lamp] = self._claim(
                        gpiozero.DigitalOutputDevice, f"lamps.{lamp.value}", pin, initial_value=False
                    )
        except LinesUnavailable:
            self.close()
            raise

    def drive_sign(self, lit: bool) -> None:
        self._call("sign", lambda: self._sign.on() if lit else self._sign.off())

    def sign_sensed(self) -> bool:
        return bool(self._call("sign_sense", lambda: self._sense.value))

    def light(self, lamp: Lamp, lit: bool) -> None:
        """Switch a lamp; a lamp the housing does not have is dark and that is no error."""
        line = self._lamps.get(lamp)
        if line is not None:
            self._call(f"lamps.{lamp.value}", lambda: line.on() if lit else line.off())

    def on_stop(self, callback: Callable[[], None]) -> None:
        """Call back when the STOP contact opens, and at once if it is open already (rule 2)."""
        self._watch("stop", self._stop, callback)

    def on_tamper(self, callback: Callable[[], None]) -> None:
        """Call back when the housing's contact opens, and at once if it is open already; without the line never."""
        if self._tamper is not None:
            self._watch("tamper", self._tamper, callback)

    def _watch(self, name: str, line: Any, callback: Callable[[], None]) -> None:
        line.when_deactivated = callback
        if not self._call(name, lambda: line.value):
            callback()

    def close(self) -> None:
        """Everything off, then released (rule 3)."""
        for line in reversed(self._open):
            if hasattr(line, "off"):
                line.off()
            line.close()
        self._open.clear()

    def _claim(self, kind: Callable[..., Any], name: str, pin: str | None, **options: Any) -> Any:
        line = self._call(name, lambda: kind(pin, **options), claim=pin)
        self._open.append(line)
        return line

    @staticmethod
    def _call(name: str, call: Callable[[], Any], claim: str | None = None) -> Any:
        try:
            return call()
        except Exception as fault:
            # gpiozero, lgpio and the kernel share no base class below Exception.
            what = f"cannot be claimed at {claim}" if claim else "does not answer"
            raise LinesUnavailable(f"line {name} {what}: {type(fault).__name__}: {fault}") from fault


def _choose_factory(gpiozero: Any) -> None:
    """On a Jetson take our pin factory, unless gpiozero's own documented variable or the caller chose another."""
    if gpiozero.Device.pin_factory is not None or os.environ.get("GPIOZERO_PIN_FACTORY"):
        return
    try:
        compatible = DEVICE_TREE.read_bytes()
    except OSError:
        return
    if any(name in compatible for name in TEGRA):
        from device.edges.lines_jetson import JetsonFactory

        gpiozero.Device.pin_factory = JetsonFactory()
