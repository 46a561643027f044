"""The tamper line: an opened housing or a cut wire calls, at once if it is so already; without the line nobody does."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from device.config.model import GpioConfig
from device.edges.gpio.gpiozero_gpio import GpiozeroGpio
from device.edges.gpio.simulated import SimulatedGpio

PINS = {"driver": "gpiozero", "sign": "BOARD31", "sign_sense": "BOARD33", "stop": "BOARD29"}


@pytest.fixture
def pins() -> Iterator[Any]:
    """gpiozero's mock pins; the housing's contact is closed."""
    from gpiozero import Device
    from gpiozero.pins.mock import MockFactory

    before = Device.pin_factory
    factory = Device.pin_factory = MockFactory()
    yield factory
    factory.reset()
    Device.pin_factory = before


def test_opening_the_housing_calls_once_it_opens(pins: Any) -> None:
    lines, calls = GpiozeroGpio(GpioConfig.model_validate({**PINS, "tamper": "BOARD32"})), [0]
    pins.pin("BOARD32").drive_low()

    def opened() -> None:
        calls[0] += 1

    lines.on_tamper(opened)
    assert calls == [0]
    pins.pin("BOARD32").drive_high()
    assert calls == [1]
    lines.close()


def test_a_housing_that_is_open_already_calls_at_once(pins: Any) -> None:
    lines, calls = GpiozeroGpio(GpioConfig.model_validate({**PINS, "tamper": "BOARD32"})), []
    lines.on_tamper(lambda: calls.append("opened"))
    assert calls == ["opened"], "a pulled-up line that nobody closes reads open, as a cut wire does"
    lines.close()


def test_a_housing_without_the_line_never_calls(pins: Any) -> None:
    lines, calls = GpiozeroGpio(GpioConfig.model_validate(PINS)), []
    lines.on_tamper(lambda: calls.append("opened"))
    assert calls == []
    lines.close()


def test_simulated_lines_call_back_when_a_contact_changes() -> None:
    lines, calls = SimulatedGpio(), []
    lines.on_tamper(lambda: calls.append("opened"))
    lines.tamper()
    assert calls == ["opened"]


def test_two_lines_cannot_share_a_pin() -> None:
    with pytest.raises(ValueError, match="BOARD29"):
        GpioConfig.model_validate({**PINS, "tamper": "BOARD29"})
