"""GPIO over gpiozero: the sign's relay, its sensor, the lamps and the buttons by header pin.

1. The sensor input has a pull-down: a cut wire reads dark.
2. STOP and the tamper switch are normally closed contacts to ground with a pull-up: pressed, or a cut wire, reads STOP;
   opened, or a cut wire, reads tampered.
   The blue-list button is a normally open contact to ground with a pull-up: a cut wire counts no press. It counts when
   it closes after DEBOUNCE_S without an edge, so that neither a bouncing press nor a bouncing release counts again.
3. Outputs start low, and close drives them low before it releases them. A line that does not answer any more keeps no
   other one from being released.
4. When one line fails (its chip is gone), all are released: the sign is dark, and lgpio, which otherwise reports a lost
   chip some thousand times a second, is quiet. The next use claims them again, with lamps and listeners as before.
5. lgpio makes a FIFO in the working directory when it is imported, and opens it there. Under the unit, and wherever
   else that directory cannot be written, its import fails; so it is imported from a private folder, gone afterwards.
6. A contact on a header pin whose level shifter only drives outward would never be read, so a pressed STOP would go
   unnoticed: that is a ConfigError before any line is claimed.
"""

from __future__ import annotations

import logging
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

from device.config.model import INPUTS, GpioConfig
from device.domain.symptoms.names import Header
from device.domain.symptoms.table import remedy
from device.edges.gpio.jetson_header import Board, is_tegra
from device.errors import ConfigError, GpioUnavailable
from device.logs import event
from device.ports.gpio import Lamp

_log = logging.getLogger(__name__)
DEBOUNCE_S = 0.03  # contacts of push buttons bounce for milliseconds, worn ones for up to 20
BUTTONS = frozenset({"blue_list_button"})
"""Inputs that count when their contact closes; the others count when it opens."""


class GpiozeroGpio:
    """The housing's lines. gpiozero calls back on a thread of its own; the owner moves that to its loop."""

    def __init__(self, config: GpioConfig) -> None:
        """Claim every line; GpioUnavailable names the one that cannot be claimed. ConfigError: rule 6."""
        self._config = config
        self._lines: dict[str, Any] = {}
        self._lit: dict[str, bool] = {}
        self._listeners: dict[str, Callable[[], None]] = {}
        self._closed = self._made_factory = False
        try:
            import gpiozero
        except ImportError as fault:
            raise GpioUnavailable(f"gpiozero cannot be imported: {fault}") from fault
        self._gpiozero: Any = gpiozero
        self._claim_all()

    def drive_sign(self, lit: bool) -> None:
        self._use("sign", lambda line: line.on() if lit else line.off())

    def sign_sensed(self) -> bool:
        return bool(self._use("sign_sense", lambda line: line.value))

    def light(self, lamp: Lamp, lit: bool) -> None:
        """Switch a lamp; ignored for a lamp that the housing does not have."""
        name = f"lamps.{lamp.value}"
        self._lit[name] = lit
        self._use(name, lambda line: line.on() if lit else line.off())

    def on_stop(self, callback: Callable[[], None]) -> None:
        """Call back when the STOP contact opens, and at once if it is open already (rule 2)."""
        self._listen("stop", callback)

    def on_tamper(self, callback: Callable[[], None]) -> None:
        """Call back when the housing's contact opens, and at once if it is open already; without the line never."""
        self._listen("tamper", callback)

    def on_blue_list_button(self, callback: Callable[[], None]) -> None:
        """Call back at each press (rule 2); without the line never."""
        self._listen("blue_list_button", callback)

    def close(self) -> None:
        """Switch every output off, then release all lines (rule 3)."""
        self._closed = True
        self._release()

    def _listen(self, name: str, callback: Callable[[], None]) -> None:
        def attach(line: Any) -> bool:
            if name in BUTTONS:
                presses = _Presses(callback)
                line.when_activated, line.when_deactivated = presses.closed, presses.opened
                return True
            line.when_deactivated = lambda: callback()  # gpiozero asks a callback for its __name__
            return bool(line.value)

        self._listeners[name] = callback
        if self._use(name, attach) is False:
            callback()

    def _use(self, name: str, what: Callable[[Any], Any]) -> Any:
        """Call `what` with a line; None if the housing lacks that line (rule 4)."""
        if self._closed:
            raise GpioUnavailable(f"line {name} does not answer: the lines are closed")
        if not self._lines:
            self._claim_all()
            for again, listener in self._listeners.items():
                if again != name:
                    self._listen(again, listener)
        if name not in self._lines:
            return None
        try:
            return what(self._lines[name])
        except Exception as fault:
            # gpiozero, lgpio and the kernel share no base class below Exception.
            self._release()
            raise GpioUnavailable(f"line {name} does not answer: {_error_text(fault)}") from fault

    def _claim_all(self) -> None:
        """Every line of the configuration, or none."""
        config, output = self._config, self._gpiozero.DigitalOutputDevice
        try:
            with _private_folder():
                self._claim("sign", config.sign, lambda _: self._choose_factory())
            self._require_inputs()
            self._lines["sign"] = self._claim("sign", config.sign, lambda pin: output(pin, initial_value=False))
            for name, pull_up in INPUTS.items():
                self._lines[name] = self._claim(name, getattr(config, name), self._input(pull_up))
            for lamp in Lamp:
                name = f"lamps.{lamp.value}"
                lit = self._lit.get(name, False)
                lamp_at = partial(output, initial_value=lit)
                self._lines[name] = self._claim(name, getattr(config.lamps, lamp.value), lamp_at)
        except (GpioUnavailable, ConfigError):
            self._release()
            raise
        self._lines = {name: line for name, line in self._lines.items() if line is not None}

    def _require_inputs(self) -> None:
        """ConfigError when an input is wired to a pin of this board that can only be an output (rule 6)."""
        board = getattr(self._gpiozero.Device.pin_factory, "board", None)
        if isinstance(board, Board):
            problems = board.input_problems({f"lines.{name}": getattr(self._config, name) for name in INPUTS})
            if problems:
                raise ConfigError(board.name, tuple(f"{one}; {remedy(Header.PIN)}" for one in problems))

    def _input(self, pull_up: bool) -> Callable[[str], Any]:
        return partial(self._gpiozero.DigitalInputDevice, pull_up=pull_up)

    @staticmethod
    def _claim(name: str, pin: str | None, how: Callable[[str], Any]) -> Any:
        """One line, None if it has no pin."""
        if pin is None:
            return None
        try:
            return how(pin)
        except Exception as fault:
            # As in _use.
            raise GpioUnavailable(f"line {name} cannot be claimed at {pin}: {_error_text(fault)}") from fault

    def _choose_factory(self) -> None:
        """On a Jetson take our pin factory, unless gpiozero's own documented variable or the caller chose another."""
        device = self._gpiozero.Device
        if device.pin_factory is not None:
            return
        self._made_factory = True
        if not os.environ.get("GPIOZERO_PIN_FACTORY") and is_tegra():
            from device.edges.gpio.jetson_factory import JetsonFactory

            device.pin_factory = JetsonFactory()
        device.ensure_pin_factory()

    def _release(self) -> None:
        """Switch off and release each line, also when another one fails (rule 3); close the factory if we made it."""
        device = self._gpiozero.Device
        kept = [
            name
            for name, line in reversed(self._lines.items())
            if not all([_done(getattr(line, "off", None)), _done(line.close)])
        ]
        self._lines.clear()
        if self._made_factory and device.pin_factory is not None:
            kept += [] if _done(device.pin_factory.close) else ["the chip"]
            device.pin_factory = None
        self._made_factory = False
        if kept:  # the kernel releases the rest when this program ends
            event(_log, "lines.not_released", level=logging.ERROR, lines=",".join(kept))


class _Presses:
    """Presses of a contact that bounces: it closes after DEBOUNCE_S without an edge (rule 2)."""

    def __init__(self, callback: Callable[[], None]) -> None:
        self._callback = callback
        self._edge_s = float("-inf")

    def closed(self) -> None:
        if self._rested():
            self._callback()

    def opened(self) -> None:
        self._rested()

    def _rested(self) -> bool:
        """Whether the last edge was long ago; this one is the last now."""
        before, self._edge_s = self._edge_s, time.monotonic()
        return self._edge_s - before >= DEBOUNCE_S


class GpiozeroLevels(GpiozeroGpio):
    """The same lines, claimed with the same pulls, by key and level: for a loop-back (`lfr doctor gpio`)."""

    def drive(self, name: str, high: bool) -> None:
        self._use(name, lambda line: line.on() if high else line.off())

    def high(self, name: str) -> bool:
        """The level at the pin, whatever it means for the line."""
        return bool(self._use(name, lambda line: line.pin.state))


def _done(what: Callable[[], object] | None) -> bool:
    """Call one clean-up step if there is one; False when it failed. A failure does not stop the steps after it."""
    if what is not None:
        with suppress(Exception):  # as in _use
            what()
            return True
        return False
    return True


KNOWN = {
    "BadPinFactory": Header.GPIO_ABSENT,
    "GPIO busy": Header.LINE_BUSY,
    "can not open gpiochip": Header.GPIO_ACCESS,
}
"""Part of a vendor's error text, and what it means."""


def _error_text(fault: Exception) -> str:
    """A vendor's error as text, with its remedy where one is known."""
    text = f"{type(fault).__name__}: {fault}"
    return text + next((f"; {remedy(symptom)}" for part, symptom in KNOWN.items() if part in text), "")


@contextmanager
def _private_folder() -> Iterator[None]:
    """Work in a folder of our own while lgpio is imported (rule 5)."""
    if "lgpio" in sys.modules:
        yield
        return
    before = Path.cwd()
    with tempfile.TemporaryDirectory(prefix="lfr-gpio-") as folder:
        os.chdir(folder)
        try:
            yield
        finally:
            os.chdir(before)
