"""`lfr doctor gpio`: the loop-back of the header's lines, and the tower lamp's codes.

1. It never runs beside the service: it holds the run folder's lock, without which no supervisor starts, and is refused
   while a supervisor holds it.
2. Interactive: asks for one bridge after the other. With `--bridge OUTPUT=INPUT`, once for each bridge that is in
   place, it asks nothing and checks those.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from device.cli.doctor.finding import Finding
from device.cli.doctor.loop_back import Bridge, LoopBack

if TYPE_CHECKING:
    from device.config.model import DeviceConfig, GpioConfig
    from device.ports.gpio import LineLevels

SKIP, END = "s", "q"
UNPLUG = (
    "Unplug the housing from the header: a closed STOP contact shorts a driven output to ground, and the sign would be "
    "lit.\nUse a bridge with 1 kΩ. Enter: done · s: skip · q: end"
)


def print_codes() -> int:
    """The tower lamp's codes, from their table."""
    from device.supervisor.sign.blink_codes import rows

    for shown, meaning, look in rows():
        print(f"{shown:24}{meaning}  -> {look}")
    return 0


def loop_back(
    config_file: Path,
    bridges: list[str],
    *,
    open_lines: Callable[[GpioConfig], LineLevels] | None = None,
    ask: Callable[[str], str] | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> Generator[Finding, None, None]:
    """The findings of one walk. Raises ConfigError, UsageError, GpioUnavailable, and Unavailable (rule 1).

    open_lines, ask  the header and the engineer: of gpiozero and the terminal where none is given
    """
    from device.config.loader import load_config
    from device.supervisor.status.file import InstanceLock

    config = load_config(config_file)
    if not _placed(config, bridges) and ask is None:
        ask = terminal()
    with InstanceLock(config.run_dir), closing(opened(config, open_lines)) as lines:
        yield from walked(config, bridges, lines, ask=ask, sleep=sleep)


def walked(
    config: DeviceConfig,
    bridges: list[str],
    lines: LineLevels,
    *,
    ask: Callable[[str], str] | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[Finding]:
    """The findings over lines that the caller has opened, while no supervisor can start. Raises UsageError."""
    walk, placed = LoopBack(config.lines, lines, sleep), _placed(config, bridges)
    yield from _walk(walk, ask) if ask is not None and not placed else _scripted(walk, placed)
    yield from walk.verdicts()


def _scripted(walk: LoopBack, placed: Mapping[str, str]) -> Iterator[Finding]:
    yield from walk.pulls(placed)
    for name, output in placed.items():
        yield walk.try_bridge(Bridge(output, name), placed)


def _walk(walk: LoopBack, ask: Callable[[str], str]) -> Iterator[Finding]:
    if ask(f"{UNPLUG}\nNo bridge in place: ") == END:
        return
    yield from walk.pulls({})
    for bridge in walk.bridges():
        answer = ask(f"Bridge {walk.called(bridge.output)} to {walk.called(bridge.input)}: ")
        if answer == END:
            return
        if answer != SKIP:
            yield walk.try_bridge(bridge, {bridge.input: bridge.output})


def _placed(config: DeviceConfig, bridges: list[str]) -> dict[str, str]:
    """Input to output of the bridges named; UsageError for one that names no output and input of the configuration."""
    from device.config.model import INPUTS
    from device.errors import UsageError

    pins = config.lines.pins
    placed: dict[str, str] = {}
    for text in bridges:
        output, _, name = text.partition("=")
        if output not in pins or output in INPUTS or name not in pins or name not in INPUTS or name in placed:
            known = [one for one in pins if one not in INPUTS], [one for one in pins if one in INPUTS]
            raise UsageError(
                f"--bridge {text}: must be OUTPUT=INPUT, each input once; outputs: {', '.join(known[0])}; "
                f"inputs: {', '.join(known[1])}"
            )
        placed[name] = output
    return placed


def opened(config: DeviceConfig, open_lines: Callable[[GpioConfig], LineLevels] | None = None) -> LineLevels:
    """The header's lines by their levels. Raises UsageError where they are simulated, GpioUnavailable."""
    from device.edges.gpio.gpiozero_gpio import GpiozeroLevels
    from device.errors import UsageError

    if config.lines.driver == "simulated":
        raise UsageError("lines.driver: simulated has no header to bridge; use a configuration with driver: gpiozero")
    return (open_lines or GpiozeroLevels)(config.lines)


def terminal() -> Callable[[str], str]:
    """Asks on the terminal; the end of its input ends the walk."""
    from device.errors import UsageError

    if not sys.stdin.isatty():
        raise UsageError("there is no terminal to ask at: name each bridge that is in place with --bridge OUTPUT=INPUT")

    def ask(text: str) -> str:
        print(text, end="", file=sys.stderr, flush=True)
        line = sys.stdin.readline()
        return line.strip().lower() if line else END

    return ask


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `lfr doctor gpio`."""
    parser.add_argument("--codes", action="store_true", help="gpio: print the tower lamp's blink codes")
    parser.add_argument(
        "--bridge", action="append", default=[], metavar="OUTPUT=INPUT", help="gpio: a bridge in place; ask nothing"
    )
