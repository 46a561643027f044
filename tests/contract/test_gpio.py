"""Every set of lines passes the same suite: simulated, gpiozero on mock pins, gpiozero on a Jetson header."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import pytest

from device.config.model import GpioConfig, Lamps
from device.edges.clock.system import SystemClock
from device.edges.gpio import jetson_header
from device.edges.gpio.gpiozero_gpio import DEBOUNCE_S, GpiozeroGpio
from device.edges.gpio.jetson_header import AGX_ORIN, ALWAYS_ON, MAIN, ORIN_NANO_NX, board_of
from device.edges.gpio.simulated import SimulatedGpio
from device.errors import ConfigError, GpioUnavailable
from device.ports.gpio import Gpio, Lamp
from device.supervisor.conditions.snapshot import SignView
from device.supervisor.sign.monitor import KINDS, SignMonitor
from tests.fake_gpio_chips import FakeChips

CONFIG = GpioConfig(
    driver="gpiozero",
    sign="BOARD31",
    sign_sense="BOARD33",
    stop="BOARD29",
    blue_list_button="BOARD22",
    lamps=Lamps(power="BOARD7", recognising="BOARD11", fault="BOARD15", tower_single="BOARD13"),
)


@dataclass
class Bench:
    """Lines and the hands that play the world outside. wire: the lamp shines on the sensor from now on, or no more."""

    lines: Gpio
    shine: Callable[[bool], None]
    press: Callable[[], None]
    sign_is_on: Callable[[], bool]
    wire: Callable[[bool], None]
    lamp_is_on: Callable[[Lamp], bool]
    press_blue: Callable[[], None]
    lamps: frozenset[Lamp]


WIRED = {
    Lamp.POWER: "BOARD7",
    Lamp.RECOGNISING: "BOARD11",
    Lamp.FAULT: "BOARD15",
    Lamp.TOWER_SINGLE: "BOARD13",
}


def _line_at(name: str) -> str:
    pin = AGX_ORIN.pin(name)
    assert pin is not None
    return pin.line


def simulated() -> Iterator[Bench]:
    lines = SimulatedGpio()

    def shine(light: bool) -> None:
        lines.stray_light = light

    def wire(connected: bool) -> None:
        lines.lamp_works = connected

    yield Bench(
        lines,
        shine,
        lines.press_stop,
        lambda: lines.sign_driven,
        wire,
        lamp_is_on=lambda lamp: lines.lamps[lamp],
        press_blue=lines.press_blue_list_button,
        lamps=frozenset(Lamp),
    )


def on_mock_pins() -> Iterator[Bench]:
    from gpiozero import Device
    from gpiozero.pins.mock import MockConnectedPin, MockFactory

    before = Device.pin_factory
    factory = Device.pin_factory = MockFactory()
    sign = factory.pin("BOARD31", pin_class=MockConnectedPin)

    def wire(connected: bool) -> None:
        sign.input_pin = factory.pin("BOARD33") if connected else None
        factory.pin("BOARD33").drive_low()

    def press_blue() -> None:
        factory.pin("BOARD22").drive_low()
        factory.pin("BOARD22").drive_high()

    lines = GpiozeroGpio(CONFIG)
    factory.pin("BOARD29").drive_low()
    try:
        yield Bench(
            lines,
            lambda light: factory.pin("BOARD33").drive_high() if light else factory.pin("BOARD33").drive_low(),
            factory.pin("BOARD29").drive_high,
            lambda: bool(factory.pin("BOARD31").state),
            wire,
            lamp_is_on=lambda lamp: lamp in WIRED and bool(factory.pin(WIRED[lamp]).state),
            press_blue=press_blue,
            lamps=frozenset(WIRED),
        )
    finally:
        lines.close()
        factory.reset()
        Device.pin_factory = before


@contextmanager
def agx_header() -> Iterator[FakeChips]:
    """gpiozero on the header of an AGX Orin."""
    from gpiozero import Device

    patch = pytest.MonkeyPatch()
    with tempfile.TemporaryDirectory() as folder, patch.context() as there:
        there.chdir(folder)  # where lgpio is imported it leaves a FIFO
        import lgpio

        from device.edges.gpio.jetson_factory import JetsonFactory
    chips = FakeChips()
    names = [name for name in dir(FakeChips) if name.startswith("gpio") or name == "callback"]
    for name in names:
        patch.setattr(lgpio, name, getattr(chips, name))
    patch.setattr(lgpio, "error", FakeChips.Error)
    before = Device.pin_factory
    Device.pin_factory = JetsonFactory(AGX_ORIN)
    chips.set(ALWAYS_ON, "PAA.01", 0)
    try:
        yield chips
    finally:
        Device.pin_factory.close()
        Device.pin_factory = before
        patch.undo()


def on_an_agx_header() -> Iterator[Bench]:
    with agx_header() as chips:
        lines = GpiozeroGpio(CONFIG)

        def press_blue() -> None:
            chips.set(MAIN, _line_at("BOARD22"), 0)
            chips.set(MAIN, _line_at("BOARD22"), 1)

        try:
            yield Bench(
                lines,
                lambda light: chips.set(ALWAYS_ON, "PAA.02", int(light)),
                lambda: chips.set(ALWAYS_ON, "PAA.01", 1),
                lambda: bool(chips.level(ALWAYS_ON, "PAA.00")),
                lambda connected: chips.wire((ALWAYS_ON, "PAA.00"), (ALWAYS_ON, "PAA.02") if connected else None),
                lamp_is_on=lambda lamp: lamp in WIRED and bool(chips.level(MAIN, _line_at(WIRED[lamp]))),
                press_blue=press_blue,
                lamps=frozenset(WIRED),
            )
        finally:
            lines.close()


@pytest.fixture(params=[simulated, on_mock_pins, on_an_agx_header])
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    yield from request.param()


def test_the_sign_starts_dark_and_follows_its_drive(bench: Bench) -> None:
    assert not bench.sign_is_on()
    bench.lines.drive_sign(True)
    assert bench.sign_is_on()
    bench.lines.drive_sign(False)
    assert not bench.sign_is_on()


def test_light_on_the_sensor_is_sensed_whether_driven_or_not(bench: Bench) -> None:
    assert not bench.lines.sign_sensed()
    bench.shine(True)
    assert bench.lines.sign_sensed()
    bench.shine(False)
    assert not bench.lines.sign_sensed()


def test_every_lamp_the_housing_has_follows_and_one_that_it_lacks_is_no_error(bench: Bench) -> None:
    for lamp in Lamp:
        assert not bench.lamp_is_on(lamp)
        bench.lines.light(lamp, True)
        assert bench.lamp_is_on(lamp) is (lamp in bench.lamps), lamp
        bench.lines.light(lamp, False)
        assert not bench.lamp_is_on(lamp)


def test_stop_calls_back_and_not_before(bench: Bench) -> None:
    presses: list[str] = []
    bench.lines.on_stop(lambda: presses.append("stop"))
    assert presses == []
    bench.press()
    assert presses == ["stop"]


def test_a_stop_that_is_listened_for_again_calls_the_new_listener_only(bench: Bench) -> None:
    presses: list[str] = []
    bench.lines.on_stop(lambda: presses.append("first"))
    bench.lines.on_stop(lambda: presses.append("second"))
    bench.press()
    assert presses == ["second"]


def test_each_press_of_the_blue_list_button_calls_once_and_its_release_does_not(bench: Bench) -> None:
    presses: list[str] = []
    bench.press_blue()
    bench.lines.on_blue_list_button(lambda: presses.append("blue"))
    assert presses == []
    time.sleep(2 * DEBOUNCE_S)
    bench.press_blue()
    time.sleep(2 * DEBOUNCE_S)
    bench.press_blue()
    assert presses == ["blue", "blue"]


def test_a_bouncing_press_counts_once_and_a_bouncing_release_counts_nothing() -> None:
    tries = (presses_of_a_bouncing_button() for _ in range(20))
    counted = next((counts for counts in tries if counts is not None), None)
    assert counted == [1, 1, 2, 2], "after two presses and releases; None: this machine held up every try"


def presses_of_a_bouncing_button() -> list[int] | None:
    """Presses counted after each press and release; None where a busy machine let it bounce for too long."""
    with agx_header() as chips:
        lines = GpiozeroGpio(CONFIG)
        presses: list[str] = []
        lines.on_blue_list_button(lambda: presses.append("blue"))
        counts, longest_s = [], 0.0
        for levels in ((0, 1, 0, 1, 0), (1, 0, 1, 0, 1)) * 2:
            last = time.monotonic()
            for level in levels:
                chips.set(MAIN, _line_at("BOARD22"), level)
                longest_s, last = max(longest_s, time.monotonic() - last), time.monotonic()
            time.sleep(2 * DEBOUNCE_S)
            counts.append(len(presses))
        lines.close()
    return counts if longest_s < DEBOUNCE_S / 2 else None


def test_a_sign_on_these_lines_proves_itself_in_real_time_and_a_cut_wire_is_found(bench: Bench) -> None:
    sign = SignMonitor(bench.lines, SystemClock(), KINDS["led"], watched=lambda: True, on_change=lambda: None)

    async def until(what: Callable[[SignView], object], within_s: float) -> None:
        async def look() -> None:
            while not what(sign.view()):
                sign.drive(True)
                await asyncio.sleep(0.005)

        await asyncio.wait_for(look(), within_s)

    async def scene() -> None:
        task = asyncio.create_task(sign.run())
        bench.wire(True)
        await until(lambda view: view.follows, 60.0)
        assert sign.view().proved
        assert bench.sign_is_on()
        bench.wire(False)
        bench.shine(False)
        await until(lambda view: not view.sensed, 30.0)
        assert sign.view().follows is None
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(scene())


@pytest.mark.slow
def test_a_light_that_is_always_there_proves_nothing_on_these_lines(bench: Bench) -> None:
    sign = SignMonitor(bench.lines, SystemClock(), KINDS["led"], watched=lambda: True, on_change=lambda: None)

    async def scene() -> None:
        task = asyncio.create_task(sign.run())
        bench.wire(False)
        while not sign.view().driven:
            sign.drive(True)
            await asyncio.sleep(0.005)
        bench.shine(True)
        while "lit in 3 of 3 dark slots" not in sign.view().finding:  # a pulse that was held up is tried again
            assert not sign.view().follows
            await asyncio.sleep(0.005)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(asyncio.wait_for(scene(), 60.0))


def test_closing_darkens_the_sign(bench: Bench) -> None:
    bench.lines.drive_sign(True)
    bench.lines.close()
    assert not bench.sign_is_on()


def test_closed_lines_refuse(bench: Bench) -> None:
    bench.lines.close()
    with pytest.raises(GpioUnavailable):
        bench.lines.drive_sign(True)
    with pytest.raises(GpioUnavailable):
        bench.lines.sign_sensed()


def test_simulated_lines_fail_on_request() -> None:
    lines = SimulatedGpio()
    lines.failing = True
    with pytest.raises(GpioUnavailable, match="lines fail as requested"):
        lines.sign_sensed()


def test_a_stop_wire_that_is_open_from_the_start_is_a_stop() -> None:
    for bench in on_mock_pins():
        bench.press()
        presses: list[str] = []
        bench.lines.on_stop(partial(presses.append, "stop"))
        assert presses == ["stop"]


def test_a_pin_that_is_taken_names_its_line() -> None:
    for _ in on_mock_pins():
        with pytest.raises(GpioUnavailable, match=r"line sign cannot be claimed at BOARD31"):
            GpiozeroGpio(CONFIG)


@pytest.mark.parametrize("pin", ["BOARD11", "PR.04"])
@pytest.mark.parametrize("contact", ["stop", "sign_sense", "tamper"])
def test_a_contact_on_a_pin_that_can_only_be_an_output_is_refused(contact: str, pin: str) -> None:
    """AGX Orin, pin 11: its level shifter has one direction, and a pressed STOP would never be read."""
    config = CONFIG.model_copy(update={contact: pin, "lamps": Lamps()})
    with agx_header(), pytest.raises(ConfigError, match=rf"lines\.{contact}: {pin} .* can only be an output") as fault:
        GpiozeroGpio(config)
    assert fault.value.exit_status == 78


def test_a_lamp_on_a_pin_that_can_only_be_an_output_is_fine() -> None:
    with agx_header() as chips:
        lines = GpiozeroGpio(CONFIG)
        lines.light(Lamp.RECOGNISING, True)
        assert chips.level(MAIN, "PR.04") == 1
        lines.close()


@pytest.mark.parametrize("board", [ORIN_NANO_NX, AGX_ORIN])
def test_headers_name_each_pin_and_line_once(board: jetson_header.Board) -> None:
    assert len({pin.header for pin in board.pins}) == len(board.pins) == 22
    assert len({(pin.chip, pin.line) for pin in board.pins}) == 22
    power_and_ground = {1, 2, 4, 6, 9, 14, 17, 20, 25, 30, 34, 39}
    assert not power_and_ground & {pin.header for pin in board.pins}


def test_boards_are_identified_by_their_device_tree() -> None:
    assert board_of("nvidia,p3768-0000+p3767-0005\0nvidia,p3767-0005\0nvidia,tegra234") is ORIN_NANO_NX
    assert board_of("nvidia,p3737-0000+p3701-0000\0nvidia,tegra234") is AGX_ORIN
    assert board_of("raspberrypi,5-model-b") is None
