"""A gpiozero pin factory for Jetson headers over lgpio; gpiozero finds it as `jetson` through its entry-point group.

gpiozero's own LGPIOFactory asks for a Raspberry Pi's revision and drives one chip. This one finds chips by label and
lines by name (chip numbers and offsets differ between kernels and boards), and gives every pin its own chip's handle.
This module imports gpiozero and lgpio at its top: it defines subclasses, and is itself only imported when wanted.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import lgpio
from gpiozero.exc import PinUnknownPi
from gpiozero.pins import BoardInfo, HeaderInfo, PinInfo
from gpiozero.pins.lgpio import LGPIOFactory, LGPIOPin
from gpiozero.pins.local import LocalPiFactory

from device.edges.gpio.jetson_header import Board, this_board

MOST_CHIPS = 16  # an Orin has two or three chips; lgpio cannot list them


class _PinOfChip(LGPIOPin):
    """A pin whose `factory._handle` is its own chip's handle: LGPIOPin knows only one."""

    _callback: Any

    def __init__(self, factory: JetsonFactory, info: Any) -> None:
        self._chip = _Chip(factory, factory.handle_of(info.name))
        super().__init__(factory, info)

    @property
    def factory(self) -> Any:
        return self._chip

    def close(self) -> None:
        """Release the line, also of a chip that is gone.

        LGPIOPin goes on listening and claims the line as an input; a call that comes after its factory was closed ends
        lgpio's only listening thread, and the STOP button is no longer read.
        """
        if self._callback is not None:
            self._callback.cancel()
            self._callback = None
        if self.factory._handle is not None:
            with suppress(lgpio.error):
                lgpio.gpio_free(self.factory._handle, self._number)


class _Chip:
    """The factory as one pin uses it."""

    def __init__(self, factory: JetsonFactory, handle: int) -> None:
        self._factory = factory
        self._own_handle = handle

    @property
    def _handle(self) -> int | None:
        return None if self._factory.closed else self._own_handle

    def __getattr__(self, name: str) -> Any:
        return getattr(self._factory, name)


class JetsonFactory(LGPIOFactory):
    """Pins by header number (BOARD31, J12:31) or line name (PQ.06). Raises PinUnknownPi off a Jetson."""

    def __init__(self, board: Board | None = None) -> None:
        LocalPiFactory.__init__(self)
        self._info: Any = None
        self.closed = False
        self.board = board or _this_board()
        self._handle: int | None = None
        self._handles: dict[str, int] = {}
        self._found = self._scan({pin.chip for pin in self.board.pins})
        self.pin_class = _PinOfChip

    def handle_of(self, name: str) -> int:
        """The chip handle of a pin by its gpiozero name."""
        return self._handles[self._chip_of[name]]

    def close(self) -> None:
        for pin in self.pins.values():
            pin.close()
        self.pins.clear()
        self.closed = True
        for handle in self._handles.values():
            with suppress(lgpio.error):
                lgpio.gpiochip_close(handle)
        self._handles.clear()

    @property
    def board_info(self) -> Any:
        if self._info is None:
            self._info = self._get_board_info()
        return self._info

    def _get_revision(self) -> int:
        return 0

    def _scan(self, wanted: set[str]) -> dict[tuple[str, str], int]:
        """Open every wanted chip and note (chip label, line name) -> offset."""
        found: dict[tuple[str, str], int] = {}
        for number in range(MOST_CHIPS):
            try:
                handle = lgpio.gpiochip_open(number)
            except lgpio.error:
                continue
            _, lines, _, label = lgpio.gpio_get_chip_info(handle)
            if _text(label) not in wanted or _text(label) in self._handles:
                lgpio.gpiochip_close(handle)
                continue
            self._handles[_text(label)] = handle
            for offset in range(lines):
                found[(_text(label), _text(lgpio.gpio_get_line_info(handle, offset)[3]))] = offset
        if not self._handles:
            raise PinUnknownPi(
                f"no GPIO chip labelled {' or '.join(sorted(wanted))} can be opened; `gpiodetect` lists the chips, and "
                "this user must be in the group that owns /dev/gpiochip*"
            )
        return found

    def _get_board_info(self) -> Any:
        """The header as gpiozero describes boards. PiPin wants the name GPIO<offset>, also among the aliases."""
        pins: dict[int, Any] = {}
        self._chip_of: dict[str, str] = {}
        for pin in self.board.pins:
            offset = self._found.get((pin.chip, pin.line))
            if offset is None:
                continue
            name = f"GPIO{offset}"
            names = frozenset({name, f"BOARD{pin.header}", f"{self.board.header}:{pin.header}", pin.line})
            row, column = (pin.header + 1) // 2, 1 if pin.header % 2 else 2
            pins[pin.header] = PinInfo(pin.header, name, names, "", row, column, frozenset({"gpio"}))
            self._chip_of[name] = pin.chip
        header = HeaderInfo(self.board.header, 20, 2, pins)
        facts = ("", self.board.name, "", "", "Tegra", "NVIDIA", 0, "", 0, 0, 0, 0, False, False, 0, 0)
        return BoardInfo(*facts, {self.board.header: header}, "")


def _this_board() -> Board:
    try:
        board = this_board()
    except OSError as fault:
        raise PinUnknownPi(f"no device tree: {fault}") from fault
    if board is None:
        raise PinUnknownPi("this Jetson's header is not in device/edges/gpio/jetson_header.py")
    return board


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value
