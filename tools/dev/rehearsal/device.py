"""The device of the rehearsal: the supervisor as `lfr run` builds it, on simulated GPIO lines that can fail.

Workers, broker, hub, repository and sync are the real ones. Only the lines are simulated, which the configuration
allows for recordings alone.
"""

from __future__ import annotations

import time
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from typing import Any

from device.config.loader import load_config
from device.edges.clock.system import SystemClock
from device.edges.gpio.simulated import SimulatedGpio
from device.supervisor.lifecycle import DeviceLifecycle
from device.supervisor.main import acquire
from device.sync.client import Client
from device.sync.source_usb import UsbSource
from engines.places import models_dir
from tools.dev.demo.workspace import Workspace

BOOT = "rehearsal"


@dataclass
class Log:
    """States and conditions as they change, with the seconds since the start."""

    begun: float = field(default_factory=time.monotonic)
    lines: list[str] = field(default_factory=list)
    _read: dict[str, str] = field(default_factory=dict)
    _state: str = ""

    def say(self, text: str) -> None:
        """One line, printed at once."""
        self.lines.append(f"{time.monotonic() - self.begun:7.1f} s  {text}")
        print(self.lines[-1], flush=True)

    def watch(self, device: DeviceLifecycle) -> None:
        """Print what has changed of the device's state and of its two tables of conditions."""
        supervisor = device.supervisor
        if supervisor.state.value != self._state:
            self._state = supervisor.state.value
            self.say(f"STATE      {self._state}")
        for evaluation in supervisor.evaluations:
            condition = evaluation.condition
            key = f"{condition.table.value} {condition.name}"
            if self._read.get(key) != evaluation.result.value:
                self._read[key] = evaluation.result.value
                self.say(f"  {condition.table.value:4} {evaluation.result.value:8} {condition.name}: {evaluation.text}")


async def assembled(
    workspace: Workspace, lines: SimulatedGpio, stack: AsyncExitStack, **changes: Any
) -> DeviceLifecycle:
    """The device of the workspace's configuration on these GPIO lines; the stack releases everything, in reverse.

    changes  fields of `Edges` to replace
    """
    config = load_config(workspace.config)
    edges = await acquire(stack, config, models_dir(), BOOT, memory_locked=False, lines=lines)
    return DeviceLifecycle(config, replace(edges, **changes), BOOT)


def stick_client(workspace: Workspace) -> Client:
    """The device's sync from the stick alone, into a state folder of its own."""
    config = load_config(workspace.config)
    stick = UsbSource(workspace.root / "stick")
    return Client(
        workspace.root / "state-usb", config.trust.roots, config.device, [stick], SystemClock(), memory=workspace.root
    )
