"""Ports of the housing: the sign, which is driven and sensed; lamps, buttons and the tamper contact."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Protocol


class Lamp(str, Enum):
    """Status lamps of the housing, and those of a tower lamp: three colours, or one lamp of any colour."""

    POWER = "power"
    RECOGNISING = "recognising"
    ALERT = "alert"
    FAULT = "fault"
    HUB = "hub"
    TOWER_RED = "tower_red"
    TOWER_AMBER = "tower_amber"
    TOWER_GREEN = "tower_green"
    TOWER_SINGLE = "tower_single"


TOWER = frozenset({Lamp.TOWER_RED, Lamp.TOWER_AMBER, Lamp.TOWER_GREEN, Lamp.TOWER_SINGLE})
"""Lamps that show one blink code together (device/supervisor/sign/blink_codes.py)."""


class SignGpio(Protocol):
    """Drives the sign and senses it. Raises GpioUnavailable.

    `sign_sensed` is the measured line (current or light), never the drive level; both take microseconds.
    """

    def drive_sign(self, lit: bool) -> None: ...

    def sign_sensed(self) -> bool: ...


class Signals(Protocol):
    """Lights the lamps, watches the buttons and the housing. Raises GpioUnavailable.

    `on_stop` calls back when the STOP contact opens, and at once if it is open now; a later call replaces the first.
    `on_tamper` calls back when the housing is opened, at once if it is open already; a housing without the line never.
    `on_blue_list_button` calls back once at each press, debounced; a contact that is closed already is no press, and a
    housing without the button never calls.
    """

    def light(self, lamp: Lamp, lit: bool) -> None: ...

    def on_stop(self, callback: Callable[[], None]) -> None: ...

    def on_tamper(self, callback: Callable[[], None]) -> None: ...

    def on_blue_list_button(self, callback: Callable[[], None]) -> None: ...


class LineLevels(Protocol):
    """Each line of the configuration by its key and its electrical level. Raises GpioUnavailable.

    names: `sign`, `stop`, `lamps.fault` …; outputs start low. `close` drives them low and releases all lines.
    """

    def drive(self, name: str, high: bool) -> None: ...

    def high(self, name: str) -> bool: ...

    def close(self) -> None: ...


class Gpio(SignGpio, Signals, Protocol):
    """Both, claimed and released together: `close` switches everything off first."""

    def close(self) -> None: ...
