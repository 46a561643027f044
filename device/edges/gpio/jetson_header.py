"""The 40-pin headers of Jetson boards: header pin to Tegra line name and GPIO chip label.

Source: NVIDIA jetson-gpio 8e5f0a0c, gpio_pin_data.py; to be confirmed on a board. The same line offset is another
header pin on another board, so a configuration names the header pin or the line, never an offset. On JetPack 6 and
later a pad must be muxed as GPIO by an overlay (jetson-io) before it can be driven.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

DEVICE_TREE = Path("/proc/device-tree/compatible")
TEGRA = ("nvidia,tegra234", "nvidia,tegra264")
MAIN = "tegra234-gpio"
ALWAYS_ON = "tegra234-gpio-aon"
HEADER_PINS = 40
POWER: Mapping[int, str] = {
    **dict.fromkeys((1, 17), "3.3 V"),
    **dict.fromkeys((2, 4), "5 V"),
    **dict.fromkeys((6, 9, 14, 20, 25, 30, 34, 39), "ground"),
}
"""Pins that carry no signal: the same on every 40-pin header of this kind (NVIDIA, Jetson Orin Nano and AGX Orin
Developer Kit Carrier Board Specifications, table of the 40-pin header)."""


@dataclass(frozen=True, slots=True)
class HeaderPin:
    """One GPIO of the header. `output_only`: the level shifter has one direction."""

    header: int
    line: str
    chip: str = MAIN
    output_only: bool = False


@dataclass(frozen=True, slots=True)
class Board:
    """One carrier board; `compatible` is how its device tree begins."""

    name: str
    header: str
    compatible: tuple[str, ...]
    pins: tuple[HeaderPin, ...]

    def pin(self, name: str) -> HeaderPin | None:
        """The pin that a configuration calls `name`: by header number (BOARD31) or line name (PQ.06)."""
        return next((pin for pin in self.pins if name in (f"BOARD{pin.header}", pin.line)), None)

    def missing(self, named: Mapping[str, str | None]) -> tuple[str, ...]:
        """One line for each pin that is no GPIO of this header. named: pin name by its use."""
        there = ", ".join(f"BOARD{pin.header}" for pin in self.pins)
        return tuple(
            f"{use}: {name} is no GPIO of the {self.name}'s header; it has {there}"
            for use, name in named.items()
            if name is not None and self.pin(name) is None
        )

    def input_problems(self, inputs: Mapping[str, str | None]) -> tuple[str, ...]:
        """One line for each input that is wired to a pin which can only be an output. inputs: pin name by its use."""
        return tuple(
            f"{use}: {name} of {self.name} can only be an output (its level shifter has one direction), so this "
            "contact would never be read"
            for use, name in inputs.items()
            if name is not None and (pin := self.pin(name)) is not None and pin.output_only
        )


ORIN_NANO_NX = Board(
    "Jetson Orin Nano / NX",
    "J12",
    ("nvidia,p3767", "nvidia,p3768"),
    tuple(
        HeaderPin(pin, line)
        for pin, line in (
            (7, "PAC.06"),
            (11, "PR.04"),
            (12, "PH.07"),
            (13, "PY.00"),
            (15, "PN.01"),
            (16, "PY.04"),
            (18, "PY.03"),
            (19, "PZ.05"),
            (21, "PZ.04"),
            (22, "PY.01"),
            (23, "PZ.03"),
            (24, "PZ.06"),
            (26, "PZ.07"),
            (29, "PQ.05"),
            (31, "PQ.06"),
            (32, "PG.06"),
            (33, "PH.00"),
            (35, "PI.02"),
            (36, "PR.05"),
            (37, "PY.02"),
            (38, "PI.01"),
            (40, "PI.00"),
        )
    ),
)

AGX_ORIN = Board(
    "Jetson AGX Orin",
    "J30",
    ("nvidia,p3701", "nvidia,p3737"),
    (
        HeaderPin(7, "PQ.06"),
        HeaderPin(11, "PR.04", output_only=True),
        HeaderPin(12, "PH.07"),
        HeaderPin(13, "PR.00"),
        HeaderPin(15, "PN.01"),
        HeaderPin(16, "PBB.01", ALWAYS_ON),
        HeaderPin(18, "PH.00"),
        HeaderPin(19, "PZ.05"),
        HeaderPin(21, "PZ.04"),
        HeaderPin(22, "PP.04"),
        HeaderPin(23, "PZ.03"),
        HeaderPin(24, "PZ.06"),
        HeaderPin(26, "PZ.07"),
        HeaderPin(29, "PAA.01", ALWAYS_ON),
        HeaderPin(31, "PAA.00", ALWAYS_ON),
        HeaderPin(32, "PBB.00", ALWAYS_ON),
        HeaderPin(33, "PAA.02", ALWAYS_ON),
        HeaderPin(35, "PI.02"),
        HeaderPin(36, "PR.05"),
        HeaderPin(37, "PAA.03", ALWAYS_ON),
        HeaderPin(38, "PI.01"),
        HeaderPin(40, "PI.00"),
    ),
)

BOARDS = (ORIN_NANO_NX, AGX_ORIN)


def power_problems(named: Mapping[str, str | None]) -> tuple[str, ...]:
    """One line for each pin that can be a GPIO of no board: power, ground, or beyond the header."""
    found = []
    for use, name in named.items():
        if name is None or not name.startswith("BOARD"):
            continue
        pin = int(name.removeprefix("BOARD"))
        if pin > HEADER_PINS:
            found.append(f"{use}: {name} is beyond the header, which has {HEADER_PINS} pins")
        elif pin in POWER:
            found.append(f"{use}: {name} is {POWER[pin]} and no GPIO")
    return tuple(found)


def board_of(compatible: str) -> Board | None:
    """The board whose device tree says `compatible` (NUL-separated names), or None."""
    return next((b for b in BOARDS if any(name in compatible for name in b.compatible)), None)


def this_board() -> Board | None:
    """The board this runs on, None off a Jetson or on one that is not listed here. Raises OSError without a tree."""
    return board_of(_compatible())


def is_tegra() -> bool:
    """Whether this machine is a Jetson of a supported generation, listed here or not."""
    try:
        return any(name in _compatible() for name in TEGRA)
    except OSError:
        return False


def _compatible() -> str:
    return DEVICE_TREE.read_bytes().decode("ascii", "replace")
