"""`lfr run` with an emulated worker, simulated lines, a synchronised clock and a cool host; the rest is the device.

    python -m tests.system.scripted_device CONFIG HOST     HOST: a folder that stands for /, with a temperature sensor

The configuration is that of a live camera, so live rules hold: an operator at the page, retention, restarts of workers.
"""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

from device import logs
from device.config.loader import load_config
from device.edges.clock.system import SystemClock
from device.edges.gpio.simulated import SimulatedGpio
from device.edges.sandbox.hardening import forbid_dumps
from device.hub_api.identifiers import new_boot_id
from device.supervisor import main as supervisor
from device.supervisor.deployment.teardown import Outcome
from device.supervisor.lifecycle import DeviceLifecycle
from device.supervisor.status.file import InstanceLock
from device.supervisor.workers.process import ProcessLauncher


def orders_socket(run_dir: Path) -> Path:
    """Where this device's worker takes orders."""
    return run_dir / "orders"


def warm(host: Path) -> None:
    """A temperature sensor at 50 °C, shut down at 105."""
    zone = host / "sys/class/thermal/thermal_zone0"
    zone.mkdir(parents=True, exist_ok=True)
    facts = {"type": "tj-thermal", "trip_point_0_type": "critical", "trip_point_0_temp": "105000", "temp": "50000"}
    for name, text in facts.items():
        (zone / name).write_text(text + "\n")


async def _run(file: Path, host: Path) -> Outcome:
    config = load_config(file)
    worker = (sys.executable, "-m", "tests.system.emulated_worker", str(orders_socket(config.run_dir)))
    async with AsyncExitStack() as stack:
        boot_id = new_boot_id()
        stack.enter_context(InstanceLock(config.run_dir))
        edges = await supervisor.acquire(
            stack, config, config.state_dir, boot_id, memory_locked=True, lines=SimulatedGpio()
        )
        edges = replace(edges, launcher=ProcessLauncher(worker), root=host)
        device = DeviceLifecycle(config, edges, boot_id)
        supervisor._handle_signals(device)
        outcome = await device.run()
    if outcome.leave_nothing:
        edges.outbox.delete_file()
    return outcome


def main(config: str, host: str) -> int:
    """The exit status of the device; its summary on stdout when a deployment has ended."""
    logs.configure(verbose=False)
    forbid_dumps()
    with patch.object(SystemClock, "synchronised", return_value=True):
        outcome = asyncio.run(_run(Path(config), Path(host)))
    if outcome.summary:
        sys.stdout.write(json.dumps(outcome.summary) + "\n")
    return outcome.exit_status


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
