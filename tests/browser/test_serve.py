"""`lfr hub serve` as a process: how it ends, what goes with it, and what it does about a broker that died."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from device.domain.finding import Mode
from tests.browser.conftest import Van, Words
from tools.hub.site import init_hub
from tools.hub.storage.folder import HubFolder

pytestmark = pytest.mark.browser


@pytest.mark.parametrize(("which", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 0)])
def test_it_stops_at_once_publishes_offline_and_stops_its_broker(
    tmp_path: Path, speak: Words, which: int, status: int
) -> None:
    init_hub(tmp_path / "hub", site="demo", devices=("cam-1",), mode=Mode.DEMO)
    van = speak.Van(tmp_path / "hub", "--operator-present")
    device = speak.Device(van.hub, van.broker_port)
    speak.until(lambda: device.hub_states and device.hub_states[-1].operator == "simulated", "the simulated operator")
    assert van.stop(which) == status
    speak.until(lambda: device.hub_states[-1].state == "offline", "the hub's farewell")
    device.close()
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", van.broker_port), 1.0)


def test_killing_the_hub_takes_the_broker_along(tmp_path: Path, speak: Words) -> None:
    init_hub(tmp_path / "hub", site="demo", devices=("cam-1",), mode=Mode.DEMO)
    van = speak.Van(tmp_path / "hub")
    os.kill(van.process.pid, signal.SIGKILL)
    van.process.communicate(timeout=60)

    def gone() -> bool:
        try:
            socket.create_connection(("127.0.0.1", van.broker_port), 1.0).close()
        except OSError:
            return True
        return False

    speak.until(gone, "the end of the broker")


def broker_pid(van: Van) -> int | None:
    """mosquitto, a child of the hub; None while there is none."""
    for pid in Path(f"/proc/{van.process.pid}/task/{van.process.pid}/children").read_text().split():
        with contextlib.suppress(OSError):  # it has just ended
            if Path(f"/proc/{pid}/comm").read_text().strip() == "mosquitto":
                return int(pid)
    return None


def test_a_broker_that_dies_is_started_again_and_receives_its_devices_messages_again(
    tmp_path: Path, speak: Words
) -> None:
    init_hub(tmp_path / "hub", site="demo", devices=("cam-1",), mode=Mode.DEMO)
    van = speak.Van(tmp_path / "hub")
    device = speak.Device(van.hub, van.broker_port)
    first = broker_pid(van)
    assert first is not None
    os.kill(first, signal.SIGKILL)
    speak.until(lambda: broker_pid(van) not in (None, first), "another broker")
    speak.until(lambda: van.snapshot()["broker"]["online"], "the hub's session")
    speak.until(lambda: device.hub_states and device.hub_states[-1].state == "online", "the hub's state at the device")
    device.close()
    assert van.stop() == 0


def test_a_broker_that_cannot_be_started_again_ends_the_hub_with_69(tmp_path: Path, speak: Words) -> None:
    init_hub(tmp_path / "hub", site="demo", devices=("cam-1",), mode=Mode.DEMO)
    van = speak.Van(tmp_path / "hub")
    (tmp_path / "hub" / "server.key").unlink()
    broker = broker_pid(van)
    assert broker is not None
    os.kill(broker, signal.SIGKILL)
    output = van.process.communicate(timeout=60)[1]
    assert van.process.returncode == 69
    assert "mosquitto ended at its start" in output


def test_a_port_in_use_ends_with_69_and_says_what_to_do(tmp_path: Path) -> None:
    init_hub(tmp_path / "hub", site="demo", devices=(), mode=Mode.DEMO)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        free = {"--port": "0", "--broker-port": "0", "--repository-port": "0"}
        for option in free:
            wrong = [word for pair in {**free, option: port}.items() for word in pair]
            done = subprocess.run(
                [sys.executable, "-m", "device.cli.main", "hub", "serve", str(tmp_path / "hub"), *wrong],
                capture_output=True,
                text=True,
                timeout=120,
            )
            assert (done.returncode, done.stdout) == (69, "")
            assert port in done.stderr
            assert "port (0 takes any free one)" in done.stderr
    assert HubFolder(tmp_path / "hub").settings().site == "demo"
