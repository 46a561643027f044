"""The overlay of a header: which pads are driven, which are read, and with which pull."""

from __future__ import annotations

import re

from device.config.model import INPUTS, GpioConfig, Lamps
from device.edges.gpio.jetson_header import ORIN_NANO_NX
from tools.flash.pinmux import DOWN, PADS, PULLS, UP, overlay

LINES = GpioConfig(
    driver="gpiozero",
    sign="BOARD31",
    sign_sense="BOARD33",
    stop="PQ.05",
    tamper="BOARD32",
    blue_list_button="BOARD22",
    lamps=Lamps(power="BOARD7"),
)
NODE = re.compile(
    r'hdr40-pin(\d+) \{ /\* (.+?) \*/\s+nvidia,pins = "(\w+)";\s+nvidia,tristate = <(\d)>;\s+'
    r"nvidia,enable-input = <(\d)>;\s+nvidia,pull = <(\d)>;"
)


def test_every_line_has_its_pad_driven_or_read_with_the_pull_that_a_cut_wire_needs() -> None:
    found = {
        use: (int(pin), pad, tristate, int(pull)) for pin, use, pad, tristate, _, pull in NODE.findall(overlay(LINES))
    }
    assert found == {
        "lamp power": (7, "soc_gpio59_pac6", "0", DOWN),
        "stop": (29, "soc_gpio32_pq5", "1", UP),
        "blue_list_button": (22, "spi3_miso_py1", "1", UP),
        "sign": (31, "soc_gpio33_pq6", "0", DOWN),
        "tamper": (32, "soc_gpio19_pg6", "1", UP),
        "sign_sense": (33, "soc_gpio21_ph0", "1", DOWN),
    }


def test_the_pulls_are_those_that_the_gpio_edge_asks_for() -> None:
    assert {use: pull == UP for use, pull in PULLS.items()} == INPUTS


def test_each_pin_of_the_header_has_the_pad_of_its_line() -> None:
    assert set(PADS) == {pin.header for pin in ORIN_NANO_NX.pins}
    for pin in ORIN_NANO_NX.pins:
        port, _, number = pin.line.lower().partition(".0")
        assert PADS[pin.header].endswith(f"_{port}{number}"), pin


def test_super_boards_are_named() -> None:
    assert '"nvidia,p3768-0000+p3767-0005-super"' in overlay(LINES)
