"""The loop-back of `lfr doctor gpio`: bridges an output to an input, drives it, and reads what arrives.

1. The housing is unplugged: its closed STOP contact would short a driven output to ground.
2. Without a bridge an input reads its pull (a cut wire: dark, STOP, tampered, not pressed), whatever is driven.
3. Over a bridge it follows its output through PATTERN, and no other input follows with it.
4. Each output and each input is in at least one bridge; a line counts as good when one of its bridges works, so that
   of a bridge that does not work the broken side can be named.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from device.cli.doctor.finding import Finding
from device.config.model import INPUTS, GpioConfig
from device.domain.symptoms.names import Header
from device.domain.symptoms.table import remedy
from device.ports.gpio import LineLevels

PATTERN = (False, True, False, True, True, False, False, True, False)
FOLLOW_S = 0.5  # a wire takes microseconds; an emulated machine that stands still for a while takes longer
SETTLE_S = 0.02


@dataclass(frozen=True, slots=True)
class Bridge:
    """One wire between two lines, by their keys."""

    output: str
    input: str


@dataclass(slots=True)
class LoopBack:
    """One walk. lines: levels by key; `works` and `broken` hold the lines of bridges that did and did not work."""

    config: GpioConfig
    lines: LineLevels
    sleep: Callable[[float], None] = time.sleep
    works: set[str] = field(default_factory=set)
    broken: set[str] = field(default_factory=set)

    @property
    def inputs(self) -> list[str]:
        return [name for name in self.config.pins if name in INPUTS]

    @property
    def outputs(self) -> list[str]:
        return [name for name in self.config.pins if name not in INPUTS]

    def bridges(self) -> list[Bridge]:
        """The fewest bridges with every line in one of them (rule 4)."""
        outputs, inputs = self.outputs, self.inputs
        count = max(len(outputs), len(inputs))
        return [Bridge(outputs[n % len(outputs)], inputs[n % len(inputs)]) for n in range(count)]

    def pulls(self, bridged: Mapping[str, str]) -> Iterator[Finding]:
        """Rule 2, for every input without a bridge: with all outputs low, then high. bridged: input to output."""
        for level in (False, True):
            self._drive_all(level)
            for name in self.inputs:
                if name not in bridged and self.lines.high(name) is not INPUTS[name]:
                    self.broken.add(name)
                    wanted = "up" if INPUTS[name] else "down"
                    text = f"reads {_level(not INPUTS[name])} without a bridge: no pull-{wanted}"
                    text += f" (all outputs {_level(level)})"
                    yield Finding(self.called(name), "fail", text, remedy(Header.PULL))
        self._drive_all(False)

    def try_bridge(self, bridge: Bridge, bridged: Mapping[str, str]) -> Finding:
        """Rule 3, for one bridge. bridged: every bridge that is in place, input to output."""
        name = f"{self.called(bridge.output)} to {self.called(bridge.input)}"
        at_rest: dict[str, bool] = {}
        for position, level in enumerate(PATTERN, start=1):
            self.lines.drive(bridge.output, level)
            if not self._follows(bridge.input, level):
                self.lines.drive(bridge.output, False)
                self.broken |= {bridge.output, bridge.input}
                text = f"driven {_level(level)}, read {_level(not level)} (step {position} of {len(PATTERN)})"
                return Finding(name, "fail", text, remedy(Header.BRIDGE))
            others = [one for one in self.inputs if bridged.get(one) != bridge.output]
            if not level:
                at_rest = {one: self.lines.high(one) for one in others}
            elif others := [one for one in others if at_rest and self.lines.high(one) is not at_rest[one]]:
                self.lines.drive(bridge.output, False)
                self.broken |= {bridge.output, *others}
                text = f"{', '.join(self.called(other) for other in others)} follows as well"
                return Finding(name, "fail", text, remedy(Header.SHORT))
        self.works |= {bridge.output, bridge.input}
        return Finding(name, "ok", f"followed {len(PATTERN)} of {len(PATTERN)} levels")

    def verdicts(self) -> Iterator[Finding]:
        """One line for each line of the configuration (rule 4)."""
        for name in (*self.outputs, *self.inputs):
            what = self.called(name)
            if name in self.works:
                yield Finding(what, "ok", "works")
            elif name in self.broken:
                yield Finding(what, "fail", "none of its bridges worked", remedy(Header.BRIDGE))
            else:
                yield Finding(what, "warn", "not bridged, so not checked", remedy(Header.NOT_BRIDGED))

    def called(self, name: str) -> str:
        """A line by key and pin."""
        return f"{name} ({self.config.pins[name]})"

    def _follows(self, name: str, level: bool) -> bool:
        """Whether an input arrives at a level in time and is still there a moment later."""
        waited_s = 0.0
        while self.lines.high(name) is not level:
            if waited_s >= FOLLOW_S:
                return False
            self.sleep(SETTLE_S)
            waited_s += SETTLE_S
        self.sleep(SETTLE_S)
        return self.lines.high(name) is level

    def _drive_all(self, level: bool) -> None:
        for name in self.outputs:
            self.lines.drive(name, level)
        self.sleep(SETTLE_S)


def _level(high: bool) -> str:
    return "high" if high else "low"
