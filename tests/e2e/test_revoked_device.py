"""A lost device is taken out of a running hub: its connection ends, it is not let in again, the others come back."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from device.cli.main import main
from device.domain.finding import Mode
from tools.dev.demo.processes import Processes
from tools.dev.demo.run import start_hub
from tools.dev.demo.workspace import Workspace
from tools.hub.broker.listener import Listener
from tools.hub.site import init_hub

LIMIT_S = 120.0


def connects(workspace: Workspace, port: int, who: str) -> bool:
    """Whether the broker takes a TLS client with this certificate; with TLS 1.3 it says no after the handshake."""
    import socket

    files = workspace.root / who
    context = ssl.create_default_context(cafile=str(workspace.hub.root / "ca.pem"))
    context.load_cert_chain(str(files.with_suffix(".pem")), str(files.with_suffix(".key")))
    try:
        with (
            socket.create_connection(("localhost", port), LIMIT_S) as raw,
            context.wrap_socket(raw, server_hostname="localhost") as client,
        ):
            client.settimeout(1.0)
            return client.recv(1) != b""
    except TimeoutError:
        return True  # it waits for a first packet
    except OSError:
        return False


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LIMIT_S
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_a_device_that_is_revoked_while_the_hub_runs_is_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    workspace = Workspace(tmp_path, "e-1")
    init_hub(workspace.hub.root, site="demo", devices=("cam-1", "cam-2"), mode=Mode.DEMO)
    settings = workspace.hub.console_file.read_text()
    for port in ("broker_port: 8883", "console_port: 8443", "repository_port: 8444"):
        settings = settings.replace(port, port.split(":")[0] + ": 0")
    workspace.hub.console_file.write_text(settings)
    for name in ("cam-1", "cam-2"):
        for suffix in (".pem", ".key"):
            (tmp_path / f"{name}{suffix}").write_bytes(
                (workspace.hub.root / "devices" / f"{name}{suffix}").read_bytes()
            )
    where = ["--hub", str(workspace.hub.root)]
    assert main(["authority", "init", *where, "--ceremony", str(tmp_path / "safe"), "--officer", "AO-1"]) == 0
    with Processes(workspace.logs) as processes:
        hub = start_hub(processes, workspace, operator=True)
        for name in ("cam-1", "cam-2"):
            assert connects(workspace, hub.broker_port, name)
        with Listener(workspace.hub, hub.broker_port) as listener:
            until(lambda: listener.received.operator_present)
            received = len(listener.received.arrivals)
            assert main(["device", "revoke", "cam-2", *where]) == 0
            until(lambda: not connects(workspace, hub.broker_port, "cam-2"))
            until(lambda: connects(workspace, hub.broker_port, "cam-1"))
            until(lambda: len(listener.received.arrivals) > received)
        processes.stop(hub.process)
        assert hub.process.exit_status == 0
    capsys.readouterr()
