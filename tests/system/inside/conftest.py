"""Inside the emulated machine: GPIO chips that gpio-sim makes, and what a housing wires to their lines.

1. Each test gets chips of its own, named and labelled as a Jetson's. The offsets are ours: lines are found by name.
2. A pull is all that a simulated line feels from outside. Claiming a line with a bias sets that pull, as a cut wire
   would let it; `Wires` is the housing that pulls harder, again and again.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from device.config.model import GpioConfig
from device.edges.gpio import jetson_header
from device.edges.gpio.gpiozero_gpio import GpiozeroGpio
from device.edges.gpio.jetson_header import AGX_ORIN, ALWAYS_ON, MAIN, ORIN_NANO_NX, Board
from tests.machine_time import MachineTime

CHIPS = Path("/sys/kernel/config/gpio-sim")
NANO_TREE = b"nvidia,p3768-0000+p3767-0005\0nvidia,p3767-0005\0nvidia,tegra234\0"
AGX_TREE = b"nvidia,p3737-0000+p3701-0005\0nvidia,p3701-0005\0nvidia,tegra234\0"
CONFIG: dict[str, Any] = {
    "driver": "gpiozero",
    "sign": "BOARD31",
    "sign_sense": "BOARD33",
    "stop": "BOARD29",
    "tamper": "BOARD32",
    "blue_list_button": "BOARD24",
    "lamps": {
        "power": "BOARD7",
        "recognising": "BOARD11",
        "alert": "BOARD13",
        "fault": "BOARD15",
        "hub": "BOARD16",
        "tower_red": "BOARD18",
        "tower_amber": "BOARD19",
        "tower_green": "BOARD21",
        "tower_single": "BOARD23",
    },
}
OFFSETS = {MAIN: 40, ALWAYS_ON: 3}  # of a chip's first named line; the others follow it
LINES = 164


class Chip:
    """One simulated chip; `value` is a line's level, `pull` the bias from outside the board."""

    def __init__(self, name: str, label: str, lines: dict[int, str], count: int = LINES) -> None:
        self._folder = CHIPS / name
        self._bank = self._folder / "bank0"
        self._bank.mkdir(parents=True)
        (self._bank / "num_lines").write_text(str(count))
        (self._bank / "label").write_text(label)
        for offset, line in lines.items():
            (self._bank / f"line{offset}").mkdir()
            (self._bank / f"line{offset}" / "name").write_text(line)
        self.offsets = {line: offset for offset, line in lines.items()}
        self.appear()

    @property
    def device(self) -> str:
        """The chip's name under /dev: its number is the lowest that was free."""
        return (self._bank / "chip_name").read_text().strip()

    def file(self, line: str | int, what: str) -> Path:
        offset = line if isinstance(line, int) else self.offsets[line]
        platform = Path("/sys/devices/platform") / (self._folder / "dev_name").read_text().strip()
        return platform / self.device / f"sim_gpio{offset}" / what

    def value(self, line: str | int) -> int:
        """The level on the line, from any driver."""
        return int(self.file(line, "value").read_text())

    def pull(self, line: str | int, up: bool) -> None:
        """Set the pull of a line, as wiring outside the board does."""
        self.file(line, "pull").write_text("pull-up" if up else "pull-down")

    def appear(self) -> None:
        (self._folder / "live").write_text("1")

    def vanish(self) -> None:
        """Remove the chip, also while lines of it are held."""
        (self._folder / "live").write_text("0")

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self.vanish()
        for line in self._bank.glob("line*"):
            line.rmdir()
        self._bank.rmdir()
        self._folder.rmdir()


class Wires:
    """The housing: a process that connects lines to each other (`wires.py`). Ends with the test."""

    def __init__(self) -> None:
        command = (sys.executable, "-S", "-E", str(Path(__file__).with_name("wires.py")))
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def set(self, sensed: Path, kind: str, source: Path | None = None) -> None:
        """`sensed`: folder of the line that is pulled; kind: `up`, `down`, `follow` another line, `blink`, `off`."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(sensed, kind, source or "-", file=self._process.stdin, flush=True)
        assert self._process.stdout.readline() == "so\n", "the wires are gone"

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()


class Anew:
    """Lets gpiozero start anew, as in another process; what was claimed stays so until `close`."""

    def __init__(self) -> None:
        self._factories: list[Any] = []

    def __call__(self) -> None:
        from gpiozero import Device

        if Device.pin_factory is not None:
            self._factories.append(Device.pin_factory)
        Device.pin_factory = None

    def close(self) -> None:
        self()
        while self._factories:
            self._factories.pop().close()


class Housing:
    """A board's chips with the lines of CONFIG; opens our lines on them and drives their inputs."""

    def __init__(self, board: Board, wires: Wires, anew: Anew) -> None:
        self.wires = wires
        self._anew = anew
        labels = dict.fromkeys(pin.chip for pin in board.pins)
        self.chips = {label: Chip(label, label, named(board, label)) for label in labels}
        self._where = {f"BOARD{pin.header}": (self.chips[pin.chip], pin.line) for pin in board.pins}
        self.opened: list[GpiozeroGpio] = []

    def claim(self) -> GpiozeroGpio:
        """Our lines on these chips, as a supervisor opens them."""
        self.opened.append(GpiozeroGpio(GpioConfig.model_validate(CONFIG)))
        return self.opened[-1]

    def open(self) -> GpiozeroGpio:
        """The same, with both contacts closed to ground."""
        lines = self.claim()
        for role in ("stop", "tamper"):
            self.wire(role, "down")
        return lines

    def value(self, role: str) -> int:
        chip, line = self._where[pin_of(role)]
        return chip.value(line)

    def pull(self, role: str, up: bool) -> None:
        chip, line = self._where[pin_of(role)]
        chip.pull(line, up)

    def wire(self, role: str, kind: str, source: str | None = None) -> None:
        """Pull a line from now on (`Wires.set`)."""
        chip, line = self._where[pin_of(role)]
        other = None
        if source is not None:
            from_chip, from_line = self._where[pin_of(source)]
            other = from_chip.file(from_line, "value").parent
        self.wires.set(chip.file(line, "value").parent, kind, other)

    def close(self) -> None:
        for lines in self.opened:
            lines.close()
        self._anew.close()
        for chip in self.chips.values():
            chip.close()


def pin_of(role: str) -> str:
    """The header pin of a role, `sign` or `lamps.fault`."""
    section, _, lamp = role.partition(".")
    return str(CONFIG[section][lamp] if lamp else CONFIG[section])


def named(board: Board, label: str) -> dict[int, str]:
    """Offset to name of a chip's lines that are on the header."""
    lines = [pin.line for pin in board.pins if pin.chip == label]
    return dict(enumerate(lines, start=OFFSETS[label]))


@pytest.fixture
def anew() -> Iterator[Anew]:
    made = Anew()
    yield made
    made.close()


@pytest.fixture
def make_chip() -> Iterator[Callable[..., Chip]]:
    """Chips beside the board's: `make_chip(name, label, lines, count)`."""
    made: list[Chip] = []

    def make(*arguments: Any) -> Chip:
        made.append(Chip(*arguments))
        return made[-1]

    yield make
    for chip in made:
        chip.close()


@pytest.fixture
def raspberry(tmp_path: Path) -> Iterator[None]:
    """A Raspberry Pi 4's revision where gpiozero looks for one."""
    place = tmp_path / "cpuinfo"
    place.write_text("Revision\t: c03111\n")
    subprocess.run(["mount", "--bind", str(place), "/proc/cpuinfo"], check=True)
    yield
    subprocess.run(["umount", "/proc/cpuinfo"], check=True)


@pytest.fixture
def wires() -> Iterator[Wires]:
    made = Wires()
    yield made
    made.close()


@pytest.fixture
def device_tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[bytes], None]:
    """This machine has no device tree: a board's `compatible` lies in a file, where our code is made to look."""

    def says(tree: bytes) -> None:
        place = tmp_path / "compatible"
        place.write_bytes(tree)
        monkeypatch.setattr(jetson_header, "DEVICE_TREE", place)

    return says


@pytest.fixture
def housing(wires: Wires, device_tree: Callable[[bytes], None], anew: Anew) -> Iterator[Housing]:
    """A Jetson Orin Nano's chip and housing."""
    device_tree(NANO_TREE)
    made = Housing(ORIN_NANO_NX, wires, anew)
    yield made
    made.close()


@pytest.fixture
def agx(wires: Wires, device_tree: Callable[[bytes], None], anew: Anew) -> Iterator[Housing]:
    """An AGX Orin's two chips and housing."""
    device_tree(AGX_TREE)
    made = Housing(AGX_ORIN, wires, anew)
    yield made
    made.close()


def until_so(what: Callable[[], object], within_s: float = 60.0) -> float:
    """Wait for a condition; seconds that it took."""
    begun = time.monotonic()
    while not what():
        if time.monotonic() - begun > within_s:
            raise TimeoutError(f"not within {within_s:g} s")
        time.sleep(0.002)
    return time.monotonic() - begun


@pytest.fixture
def until() -> Callable[..., float]:
    return until_so


def promised(cause: Callable[[], object], what: Callable[[], object], within_s: float) -> None:
    """What follows the cause comes within seconds of machine time: a processor that stands still has none."""
    with MachineTime() as machine:
        cause()
        until_so(what)
        assert machine.seconds <= within_s, f"after {machine.seconds:.3f} s, of {within_s:g} s"


@pytest.fixture
def config() -> GpioConfig:
    """How the housing is wired."""
    return GpioConfig.model_validate(CONFIG)
