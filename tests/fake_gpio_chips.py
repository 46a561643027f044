"""lgpio on the two GPIO chips of a Jetson AGX Orin, as the kernel keeps them."""

from __future__ import annotations

from typing import Any

from device.edges.gpio import jetson_header
from device.edges.gpio.jetson_header import AGX_ORIN, ALWAYS_ON, MAIN


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


def _pins(chip: str) -> list[jetson_header.HeaderPin]:
    return [pin for pin in AGX_ORIN.pins if pin.chip == chip]
