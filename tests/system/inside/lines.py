"""GpiozeroGpio on the real GPIO character device, with the chips of a Jetson made by gpio-sim."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from device.config.model import GpioConfig
from device.edges.gpio.gpiozero_gpio import GpiozeroGpio
from device.errors import GpioUnavailable
from device.ports.gpio import Lamp
from tests.system.inside.conftest import promised

if TYPE_CHECKING:
    from tests.system.inside.conftest import Anew, Chip, Housing

WITHIN_S = 1.0  # recognition is over a second after the button; the rest of it needs less than half of that
HOLD = """
import sys, time
from pathlib import Path
from device.edges.gpio import gpiozero_gpio, jetson_header
jetson_header.DEVICE_TREE = Path(sys.argv[1])
from device.config.model import GpioConfig
lines = gpiozero_gpio.GpiozeroGpio(GpioConfig.model_validate_json(sys.argv[2]))
lines.drive_sign(True)
print("lit", flush=True)
time.sleep(600)
"""


class Calls:
    """A callback that counts its calls."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> None:
        self.count += 1


def test_the_default_factory_of_gpiozero_drives_a_plain_chip(
    make_chip: Callable[..., Chip], raspberry: None, anew: Anew
) -> None:
    chip = make_chip("plain", "pinctrl-bcm2711", {}, 58)
    assert chip.device == "gpiochip0", "gpiozero opens that one; a chip that was torn away keeps its number for ever"
    pins = {"driver": "gpiozero", "sign": "BOARD11", "sign_sense": "BOARD13", "stop": "BOARD15"}
    lines = GpiozeroGpio(GpioConfig.model_validate(pins))
    try:
        lines.drive_sign(True)
        assert chip.value(17) == 1
        assert not lines.sign_sensed()
        chip.pull(27, True)
        assert lines.sign_sensed()
    finally:
        lines.close()
    assert chip.value(17) == 0


def test_the_sign_starts_dark_is_lit_and_dark_again_at_its_own_pin(housing: Housing) -> None:
    lines = housing.open()
    assert housing.value("sign") == 0
    lines.drive_sign(True)
    assert housing.value("sign") == 1
    lines.drive_sign(False)
    assert housing.value("sign") == 0


def test_the_chip_is_found_by_its_label_whatever_its_number(housing: Housing, make_chip: Callable[..., Chip]) -> None:
    board = housing.chips["tegra234-gpio"]
    board.vanish()
    decoy = make_chip("expander", "pca9555", {5: "PQ.06", 6: "PH.00", 7: "PQ.05", 8: "PG.06"})
    board.appear()
    assert decoy.device < board.device, "the decoy comes first"
    housing.open().drive_sign(True)
    assert housing.value("sign") == 1
    assert decoy.value("PQ.06") == 0


def test_an_agx_header_needs_two_chips_and_each_pin_uses_its_own(agx: Housing) -> None:
    lines = agx.open()
    assert agx.chips.keys() == {"tegra234-gpio", "tegra234-gpio-aon"}
    lines.drive_sign(True)
    assert agx.chips["tegra234-gpio-aon"].value("PAA.00") == 1
    lines.light(Lamp.POWER, True)
    assert agx.chips["tegra234-gpio"].value("PQ.06") == 1


def test_the_sensor_reads_the_line_and_never_the_drive(housing: Housing, until: Callable[..., float]) -> None:
    lines = housing.open()
    lines.drive_sign(True)
    assert not lines.sign_sensed()
    housing.wire("sign_sense", "up")
    until(lines.sign_sensed)
    lines.drive_sign(False)
    assert lines.sign_sensed()
    housing.wire("sign_sense", "down")
    until(lambda: not lines.sign_sensed())


def test_cut_wires_read_dark_stop_and_tampered_because_the_kernel_got_our_pulls(housing: Housing) -> None:
    housing.pull("sign_sense", True)
    for role in ("stop", "tamper"):
        housing.pull(role, False)
    lines = housing.claim()
    assert not lines.sign_sensed()
    stop, tamper = Calls(), Calls()
    lines.on_stop(stop)
    lines.on_tamper(tamper)
    assert (stop.count, tamper.count) == (1, 1)
    for role in ("stop", "tamper"):
        assert housing.value(role) == 1


@pytest.mark.parametrize("role", ["stop", "tamper"])
def test_a_contact_that_opens_calls_within_the_second(housing: Housing, role: str) -> None:
    lines = housing.open()
    calls = Calls()
    listen = lines.on_stop if role == "stop" else lines.on_tamper
    listen(calls)
    assert calls.count == 0
    promised(lambda: housing.wire(role, "up"), lambda: calls.count, WITHIN_S)


def test_stop_calls_again_when_it_is_let_go_and_pressed_again(housing: Housing) -> None:
    lines = housing.open()
    calls = Calls()
    lines.on_stop(calls)
    for presses in (1, 2, 3):
        promised(lambda: housing.wire("stop", "up"), lambda: calls.count == presses, WITHIN_S)
        housing.wire("stop", "down")


def test_every_lamp_is_lit_at_its_own_pin_and_no_other(housing: Housing) -> None:
    lines = housing.open()
    roles = ["sign", *(f"lamps.{lamp.value}" for lamp in Lamp)]
    for lamp in Lamp:
        lines.light(lamp, True)
        assert [role for role in roles if housing.value(role)] == [f"lamps.{lamp.value}"]
        lines.light(lamp, False)


def test_closing_darkens_everything_and_gives_the_lines_back(housing: Housing) -> None:
    lines = housing.open()
    lines.drive_sign(True)
    lines.light(Lamp.POWER, True)
    lines.close()
    assert (housing.value("sign"), housing.value("lamps.power")) == (0, 0)
    housing.open().drive_sign(True)
    assert housing.value("sign") == 1


def test_a_chip_that_vanishes_is_an_error_of_ours_and_ends_in_the_dark(
    housing: Housing, capfd: pytest.CaptureFixture[str]
) -> None:
    lines = housing.open()
    lines.drive_sign(True)
    lines.on_stop(Calls())
    chip = housing.chips["tegra234-gpio"]
    chip.vanish()
    with pytest.raises(GpioUnavailable, match="line sign_sense does not answer"):
        lines.sign_sensed()
    capfd.readouterr()
    for call in (lambda: lines.drive_sign(True), lines.sign_sensed, lambda: lines.light(Lamp.FAULT, True)):
        with pytest.raises(GpioUnavailable, match=r"cannot be claimed at BOARD31.*labelled tegra234-gpio.*gpiodetect"):
            call()
    time.sleep(0.5)
    assert "lgPthAlert" not in capfd.readouterr().err, "lgpio still listens to the chip that is gone"
    lines.close()
    with pytest.raises(GpioUnavailable, match="closed"):
        lines.sign_sensed()


def test_lines_come_back_with_their_chip_dark_and_listening(housing: Housing) -> None:
    lines = housing.open()
    stop = Calls()
    lines.on_stop(stop)
    lines.drive_sign(True)
    lines.light(Lamp.FAULT, True)
    chip = housing.chips["tegra234-gpio"]
    chip.vanish()
    with pytest.raises(GpioUnavailable):
        lines.sign_sensed()
    chip.appear()
    assert stop.count == 0
    assert not lines.sign_sensed()
    assert (housing.value("sign"), housing.value("lamps.fault")) == (0, 1)
    assert stop.count == 1, "the contact came back open: that is a STOP"
    housing.wire("stop", "down")
    promised(lambda: housing.wire("stop", "up"), lambda: stop.count == 2, WITHIN_S)
    lines.drive_sign(True)
    assert housing.value("sign") == 1


def test_a_second_program_is_refused_and_a_killed_one_leaves_the_sign_dark(
    housing: Housing, config: GpioConfig, tmp_path: Path
) -> None:
    holding = [sys.executable, "-c", HOLD, str(tmp_path / "compatible"), config.model_dump_json()]
    holder = subprocess.Popen(holding, stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "lit\n"
        with pytest.raises(GpioUnavailable, match=r"line sign cannot be claimed at BOARD31.*GPIO busy.*gpioinfo"):
            housing.claim()
        assert housing.value("sign") == 1
        promised(holder.kill, lambda: housing.value("sign") == 0, WITHIN_S)
    finally:
        holder.kill()
        holder.communicate()
    housing.open().drive_sign(True)
    assert housing.value("sign") == 1


def test_a_machine_that_is_no_board_is_refused_with_our_message(
    make_chip: Callable[..., Chip], config: GpioConfig, anew: Anew
) -> None:
    make_chip("plain", "some-chip", {}, 58)
    with pytest.raises(GpioUnavailable, match=r"line sign cannot be claimed at BOARD31.*simulated"):
        GpiozeroGpio(config)
