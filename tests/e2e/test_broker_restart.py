"""A broker that is killed while the device raises alerts: each alert still reaches the hub, and counts once."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import final_counts
from tools.dev.clip.spec import watchlist_photos
from tools.dev.demo.processes import Processes, Running
from tools.dev.demo.run import lfr, start_hub
from tools.dev.demo.signed import publish_signed
from tools.dev.demo.workspace import Workspace, build_hub, write_device_config
from tools.hub.broker.mosquitto import RunningBroker, free_port, start_broker
from tools.hub.report.tallies import Deployment

LIMIT_S = 600.0


@pytest.fixture
def workspace(tmp_path: Path, clip: Path) -> Workspace:
    """Hub, watchlist, deployment and device configuration around the short clip, in real time."""
    made = build_hub(tmp_path, free_port(), 0)
    shutil.copy(clip, made.clip)
    publish_signed(made, next(iter(watchlist_photos().values())), "Listed person")
    return made


@pytest.fixture
def broker(workspace: Workspace) -> Iterator[list[RunningBroker]]:
    """The broker, in a list so that a test can put another one in its place."""
    running = [start_broker(workspace.hub, workspace.hub.settings().broker_port)]
    yield running
    running[-1].stop()


def wait_for_status(workspace: Workspace, device: Running, wanted: Callable[[dict[str, Any]], object]) -> None:
    """Wait until the device's status file is as wanted; the device replaces it in one step."""
    deadline = time.monotonic() + LIMIT_S
    while True:
        device.check()
        assert time.monotonic() < deadline, device.last_lines()
        try:
            if wanted(json.loads((workspace.run_dir / "status.json").read_text())):
                return
        except FileNotFoundError:
            pass
        time.sleep(0.02)


def all_has_arrived(tally: Deployment) -> bool:
    """Alerts with their probes, and everybody who was seen is accounted for."""
    accounted = ("discarded", "lost", "alerts")  # lost: of a worker that a busy machine did not run for its beats
    alerts = tally.alerts_received >= tally.total("alerts") > 0 and tally.probes_received >= tally.alerts_received
    return alerts and tally.total("faces_seen") == sum(tally.total(name) for name in accounted)


@pytest.mark.long
def test_alerts_reach_the_hub_once_although_the_broker_was_killed(
    workspace: Workspace, broker: list[RunningBroker]
) -> None:
    port = broker[0].port
    with Processes(workspace.logs) as processes:
        hub = start_hub(processes, workspace, operator=True, own_broker=False)
        write_device_config(workspace, port, realtime=True, repository_port=hub.repository_port)
        device = processes.start("device", [lfr(), "run", "--config", str(workspace.config)])
        wait_for_status(workspace, device, lambda status: status["state"] == "recognising")
        os.kill(broker[0].pid, signal.SIGKILL)
        broker[0].stop()
        wait_for_status(workspace, device, lambda status: status["outbox_waiting"])
        broker[0] = start_broker(workspace.hub, port)
        assert device.process.wait(LIMIT_S) == 0, device.last_lines()
        tally = final_counts(workspace.hub.report_file, hub, all_has_arrived)
    assert tally.alerts_received == tally.total("alerts"), device.last_lines(40)
