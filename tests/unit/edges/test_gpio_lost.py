"""Lines that fail: all are released, dark, and claimed again at the next use with lamps and listeners as before."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from device.config.model import GpioConfig
from device.edges.gpio.gpiozero_gpio import GpiozeroGpio
from device.errors import GpioUnavailable
from device.ports.gpio import Lamp

PINS = {
    "driver": "gpiozero",
    "sign": "BOARD31",
    "sign_sense": "BOARD33",
    "stop": "BOARD29",
    "tamper": "BOARD32",
    "lamps": {"power": "BOARD7", "fault": "BOARD15"},
}


class Failing:
    """gpiozero's mock pins, of which the sensor's can fail as one whose chip is gone."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        from gpiozero import Device
        from gpiozero.pins.mock import MockFactory, MockPin

        self.failing = False
        self.factory = MockFactory()
        patch.setattr(Device, "pin_factory", self.factory)
        for contact in ("BOARD29", "BOARD32"):
            self.factory.pin(contact)
        read = MockPin._get_state

        def state(pin: Any) -> Any:
            if self.failing and pin is self.factory.pin("BOARD33"):
                raise OSError(19, "No such device")
            return read(pin)

        patch.setattr(MockPin, "_get_state", state)

    def close_contacts(self) -> None:
        for contact in ("BOARD29", "BOARD32"):
            self.factory.pin(contact).drive_low()

    def is_high(self, pin: str) -> bool:
        return bool(self.factory.pin(pin).state)


@pytest.fixture
def pins(monkeypatch: pytest.MonkeyPatch) -> Iterator[Failing]:
    made = Failing(monkeypatch)
    yield made
    made.factory.reset()


def lost(pins: Failing, lines: GpiozeroGpio) -> None:
    pins.failing = True
    with pytest.raises(GpioUnavailable, match=r"line sign_sense does not answer: OSError.*No such device"):
        lines.sign_sensed()
    pins.failing = False


def test_one_line_that_fails_puts_the_sign_and_the_lamps_out(pins: Failing) -> None:
    lines = GpiozeroGpio(GpioConfig.model_validate(PINS))
    lines.drive_sign(True)
    lines.light(Lamp.FAULT, True)
    lost(pins, lines)
    assert (pins.is_high("BOARD31"), pins.is_high("BOARD15")) == (False, False)


def test_the_next_use_claims_all_lines_again_the_sign_dark_and_the_lamps_as_they_were(pins: Failing) -> None:
    lines = GpiozeroGpio(GpioConfig.model_validate(PINS))
    lines.drive_sign(True)
    lines.light(Lamp.POWER, True)
    lines.light(Lamp.FAULT, True)
    lines.light(Lamp.POWER, False)
    lost(pins, lines)
    assert not lines.sign_sensed()
    assert [pins.is_high(pin) for pin in ("BOARD31", "BOARD7", "BOARD15")] == [False, False, True]
    lines.drive_sign(True)
    assert pins.is_high("BOARD31")
    lines.close()


def test_stop_and_tamper_are_watched_again_and_a_contact_found_open_is_one(pins: Failing) -> None:
    lines, received = GpiozeroGpio(GpioConfig.model_validate(PINS)), []
    pins.close_contacts()
    lines.on_stop(lambda: received.append("stop"))
    lines.on_tamper(lambda: received.append("tamper"))
    lost(pins, lines)
    assert received == []
    lines.sign_sensed()
    assert received == ["stop", "tamper"], "mock pins come back as cut wires do: open"
    pins.close_contacts()
    received.clear()
    pins.factory.pin("BOARD29").drive_high()
    assert received == ["stop"]
    lines.close()


def test_a_callback_may_be_any_callable(pins: Failing) -> None:
    class Calls:
        count = 0

        def __call__(self) -> None:
            self.count += 1

    lines, calls = GpiozeroGpio(GpioConfig.model_validate(PINS)), Calls()
    pins.close_contacts()
    lines.on_stop(calls)
    pins.factory.pin("BOARD29").drive_high()
    assert calls.count == 1
    lines.close()
