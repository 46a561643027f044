"""Every set of lines passes the same suite: simulated, gpiozero on mock pins, gpiozero on a Jetson header."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from device.config.model import Lamps, LinesConfig
from device.edges.clock.system import SystemClock
from device.edges.gpio import jetson_header
from device.edges.gpio.gpiozero_lines import GpiozeroLines
from device.edges.gpio.jetson_header import AGX_ORIN, ALWAYS_ON, MAIN, ORIN_NANO_NX, board_of
from device.edges.gpio.simulated import SimulatedLines
from device.errors import ConfigError, LinesUnavailable
from device.ports.gpio import Lamp, Lines
from device.supervisor.conditions.snapshot import SignView
from device.supervisor.sign.monitor import KINDS, SignMonitor

CONFIG = LinesConfig(
    driver="gpiozero",
    sign="BOARD31",
    sign_sense="BOARD33",
    stop="BOARD29",
    lamps=Lamps(power="BOARD7", recognising="BOARD11", fault="BOARD15"),
)


@dataclass
class Bench:
    """Lines and the hands that play the world outside. wire: the lamp shines on the sensor from now on, or no more."""

    lines: Lines
    shine: Callable[[bool], None]
    press: Callable[[], None]
    sign_is_on: Callable[[], bool]
    wire: Callable[[bool], None]
    lamp_is_on: Callable[[Lamp], bool]
    lamps: frozenset[Lamp] = frozenset({Lamp.POWER, Lamp.RECOGNISING, Lamp.FAULT})


class FakeChips:
    """lgpio on two Tegra chips: claims, levels, pulls and alerts as the kernel keeps them."""

    class Error(Exception):
        pass

    def __init__(self) -> None:
        self.levels: dict[tuple[str, int], int] = {}
        self.claimed: dict[tuple[str, int], str] = {}
        self.flags: dict[tuple[str, int], int] = {}
        self.callbacks: dict[tuple[str, int], Any] = {}
        self.names = {
            MAIN: {n: pin.line for n, pin in enumerate(_pins(MAIN), start=40)},
            ALWAYS_ON: {n: pin.line for n, pin in enumerate(_pins(ALWAYS_ON))},
        }
        self.chips = ["some-expander", ALWAYS_ON, MAIN]
        self.wires: dict[tuple[str, int], tuple[str, str]] = {}

    def gpiochip_open(self, number: int) -> int:
        if number >= len(self.chips):
            raise self.Error("no such chip")
        return number

    def gpiochip_close(self, handle: int) -> None:
        return None

    def gpio_get_chip_info(self, handle: int) -> list[Any]:
        return [0, 100, f"gpiochip{handle}", self.chips[handle]]

    def gpio_get_line_info(self, handle: int, offset: int) -> list[Any]:
        return [0, offset, 0, self.names.get(self.chips[handle], {}).get(offset, ""), ""]

    def gpio_claim_input(self, handle: int, line: int, flags: int = 0) -> None:
        key = (self.chips[handle], line)
        self.claimed[key], self.flags[key] = "in", flags
        if flags & (1 << 5):
            self.levels.setdefault(key, 1)

    def gpio_claim_output(self, handle: int, line: int, level: int = 0, flags: int = 0) -> None:
        self.claimed[self.chips[handle], line] = "out"

    def gpio_claim_alert(self, handle: int, line: int, edges: int, flags: int = 0) -> None:
        self.claimed[self.chips[handle], line] = "in"

    def gpio_free(self, handle: int, line: int) -> None:
        self.claimed.pop((self.chips[handle], line), None)

    def gpio_get_mode(self, handle: int, line: int) -> int:
        key = (self.chips[handle], line)
        return (2 if self.claimed.get(key) == "out" else 0) | self.flags.get(key, 0)

    def gpio_read(self, handle: int, line: int) -> int:
        return self.levels.get((self.chips[handle], line), 0)

    def gpio_write(self, handle: int, line: int, level: int) -> None:
        key = (self.chips[handle], line)
        assert self.claimed.get(key) == "out", f"{key} is not an output"
        self.levels[key] = int(level)
        if key in self.wires:
            self.set(*self.wires[key], int(level))

    def gpio_set_debounce_micros(self, handle: int, line: int, micros: int) -> None:
        return None

    def callback(self, handle: int, line: int, edge: int, function: Any) -> Any:
        key = (self.chips[handle], line)
        self.callbacks[key] = function

        class Callback:
            @staticmethod
            def cancel() -> None:
                self.callbacks.pop(key, None)

        return Callback

    def set(self, chip: str, line: str, level: int) -> None:
        """The world outside changes a line."""
        offset = next(n for n, name in self.names[chip].items() if name == line)
        self.levels[chip, offset] = level
        function = self.callbacks.get((chip, offset))
        if function is not None:
            function(0, offset, level, 0)

    def wire(self, one: tuple[str, str], other: tuple[str, str] | None) -> None:
        """Let a line follow another one, or no more."""
        chip, line = one
        key = (chip, next(n for n, name in self.names[chip].items() if name == line))
        self.wires.pop(key, None)
        if other is not None:
            self.wires[key] = other

    def level(self, chip: str, line: str) -> int:
        offset = next(n for n, name in self.names[chip].items() if name == line)
        return self.levels.get((chip, offset), 0)


WIRED = {Lamp.POWER: "BOARD7", Lamp.RECOGNISING: "BOARD11", Lamp.FAULT: "BOARD15"}


def _line_at(name: str) -> str:
    pin = AGX_ORIN.pin(name)
    assert pin is not None
    return pin.line


def _pins(chip: str) -> list[jetson_header.HeaderPin]:
    return [pin for pin in AGX_ORIN.pins if pin.chip == chip]


def simulated() -> Iterator[Bench]:
    lines = SimulatedLines()

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

    lines = GpiozeroLines(CONFIG)
    factory.pin("BOARD29").drive_low()
    try:
        yield Bench(
            lines,
            lambda light: factory.pin("BOARD33").drive_high() if light else factory.pin("BOARD33").drive_low(),
            factory.pin("BOARD29").drive_high,
            lambda: bool(factory.pin("BOARD31").state),
            wire,
            lamp_is_on=lambda lamp: lamp in WIRED and bool(factory.pin(WIRED[lamp]).state),
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
        lines = GpiozeroLines(CONFIG)
        try:
            yield Bench(
                lines,
                lambda light: chips.set(ALWAYS_ON, "PAA.02", int(light)),
                lambda: chips.set(ALWAYS_ON, "PAA.01", 1),
                lambda: bool(chips.level(ALWAYS_ON, "PAA.00")),
                lambda connected: chips.wire((ALWAYS_ON, "PAA.00"), (ALWAYS_ON, "PAA.02") if connected else None),
                lamp_is_on=lambda lamp: lamp in WIRED and bool(chips.level(MAIN, _line_at(WIRED[lamp]))),
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
        await until(lambda view: view.follows, 10.0)
        assert sign.view().proved
        assert bench.sign_is_on()
        bench.wire(False)
        bench.shine(False)
        await until(lambda view: not view.sensed, 5.0)
        assert sign.view().follows is None
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(scene())


def test_a_light_that_is_always_there_proves_nothing_on_these_lines(bench: Bench) -> None:
    sign = SignMonitor(bench.lines, SystemClock(), KINDS["led"], watched=lambda: True, on_change=lambda: None)

    async def scene() -> None:
        task = asyncio.create_task(sign.run())
        bench.wire(False)
        while not sign.view().driven:
            sign.drive(True)
            await asyncio.sleep(0.005)
        bench.shine(True)
        while sign.view().follows is None:
            await asyncio.sleep(0.005)
        assert "lit in 3 of 3 dark moments" in sign.view().finding
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(asyncio.wait_for(scene(), 15.0))


def test_closing_darkens_the_sign(bench: Bench) -> None:
    bench.lines.drive_sign(True)
    bench.lines.close()
    assert not bench.sign_is_on()


def test_closed_lines_refuse(bench: Bench) -> None:
    bench.lines.close()
    with pytest.raises(LinesUnavailable):
        bench.lines.drive_sign(True)
    with pytest.raises(LinesUnavailable):
        bench.lines.sign_sensed()


def test_simulated_lines_fail_on_request() -> None:
    lines = SimulatedLines()
    lines.failing = True
    with pytest.raises(LinesUnavailable, match="told to fail"):
        lines.sign_sensed()


def test_a_stop_wire_that_is_open_from_the_start_is_a_stop() -> None:
    for bench in on_mock_pins():
        bench.press()
        presses: list[str] = []
        bench.lines.on_stop(lambda presses=presses: presses.append("stop"))
        assert presses == ["stop"]


def test_a_pin_that_is_taken_names_its_line() -> None:
    for _ in on_mock_pins():
        with pytest.raises(LinesUnavailable, match=r"line sign cannot be claimed at BOARD31"):
            GpiozeroLines(CONFIG)


@pytest.mark.parametrize("pin", ["BOARD11", "PR.04"])
@pytest.mark.parametrize("contact", ["stop", "sign_sense", "tamper"])
def test_a_contact_on_a_pin_that_can_only_be_an_output_is_refused(contact: str, pin: str) -> None:
    """AGX Orin, pin 11: its level shifter has one direction, and a pressed STOP would never be read."""
    config = CONFIG.model_copy(update={contact: pin, "lamps": Lamps()})
    with agx_header(), pytest.raises(ConfigError, match=rf"lines\.{contact}: {pin} .* can only be an output") as fault:
        GpiozeroLines(config)
    assert fault.value.exit_status == 78


def test_a_lamp_on_a_pin_that_can_only_be_an_output_is_fine() -> None:
    with agx_header() as chips:
        lines = GpiozeroLines(CONFIG)
        lines.light(Lamp.RECOGNISING, True)
        assert chips.level(MAIN, "PR.04") == 1
        lines.close()


@pytest.mark.parametrize("board", [ORIN_NANO_NX, AGX_ORIN])
def test_headers_name_each_pin_and_line_once(board: jetson_header.Board) -> None:
    assert len({pin.header for pin in board.pins}) == len(board.pins) == 22
    assert len({(pin.chip, pin.line) for pin in board.pins}) == 22
    power_and_ground = {1, 2, 4, 6, 9, 14, 17, 20, 25, 30, 34, 39}
    assert not power_and_ground & {pin.header for pin in board.pins}


def test_boards_are_told_by_their_device_tree() -> None:
    assert board_of("nvidia,p3768-0000+p3767-0005\0nvidia,p3767-0005\0nvidia,tegra234") is ORIN_NANO_NX
    assert board_of("nvidia,p3737-0000+p3701-0000\0nvidia,tegra234") is AGX_ORIN
    assert board_of("raspberrypi,5-model-b") is None
