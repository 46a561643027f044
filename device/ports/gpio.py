"""Ports of the housing: the sign, which is driven and sensed; lamps, the STOP button and the tamper contact."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Protocol


class Lamp(str, Enum):
    """Status lamps of the housing."""

    POWER = "power"
    RECOGNISING = "recognising"
    ALERT = "alert"
    FAULT = "fault"


class SignGpio(Protocol):
    """Drives the sign and senses it. Raises GpioUnavailable.

    `sign_sensed` is the measured line (current or light), never the drive level; both take microseconds.
    """

    def drive_sign(self, lit: bool) -> None: ...

    def sign_sensed(self) -> bool: ...


class Signals(Protocol):
    """Lights the lamps, watches the STOP button and the housing. Raises GpioUnavailable.

    `on_stop` calls back when the STOP contact opens, and at once if it is open now; a later call replaces the first.
    `on_tamper` calls back when the housing is opened, at once if it is open already; a housing without the line never.
    """

    def light(self, lamp: Lamp, lit: bool) -> None: ...

    def on_stop(self, callback: Callable[[], None]) -> None: ...

    def on_tamper(self, callback: Callable[[], None]) -> None: ...


class Gpio(SignGpio, Signals, Protocol):
    """Both, claimed and released together: `close` switches everything off first."""

    def close(self) -> None: ...
