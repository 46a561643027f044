"""Every service manager passes the same suite: systemd's protocol on a real socket, and none at all."""

from __future__ import annotations

import importlib.util
import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from device.edges.service.systemd import NoServiceManager, SystemdService, service_manager
from device.errors import Unavailable
from device.ports.service import ServiceManager


@pytest.fixture
def manager_socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[str]]:
    """A service manager's end of the protocol; gives every message that has arrived."""
    path = tmp_path / "notify"
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    listening.bind(str(path))
    listening.setblocking(False)
    monkeypatch.setenv("NOTIFY_SOCKET", str(path))

    def arrived() -> list[str]:
        found: list[str] = []
        while True:
            try:
                found.append(listening.recv(4096).decode())
            except BlockingIOError:
                return found

    return arrived


@pytest.fixture
def fake_libsystemd(monkeypatch: pytest.MonkeyPatch) -> None:
    """systemd-python's one function where it is not installed: a datagram to NOTIFY_SOCKET (sd_notify(3))."""

    class Daemon:
        @staticmethod
        def notify(message: str) -> bool:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sending:
                sending.sendto(message.encode(), os.environ["NOTIFY_SOCKET"])
            return True

    class Package:
        daemon = Daemon

    found = importlib.util.find_spec("systemd")
    if found is None or found.origin is None:  # without an origin it is this repository's folder of that name
        monkeypatch.setitem(sys.modules, "systemd", Package)
        monkeypatch.setitem(sys.modules, "systemd.daemon", Daemon)


@pytest.fixture(params=["systemd", "none"])
def service(
    request: pytest.FixtureRequest, manager_socket: Callable[[], list[str]], fake_libsystemd: None
) -> ServiceManager:
    return SystemdService() if request.param == "systemd" else NoServiceManager()


def test_every_state_of_a_service_can_be_reported(service: ServiceManager) -> None:
    service.ready()
    service.status("recognising")
    service.alive()
    service.extend_start(600.0)
    service.stopping()


def test_systemd_receives_each_notification(manager_socket: Callable[[], list[str]], fake_libsystemd: None) -> None:
    service = service_manager()
    service.ready()
    service.status("inhibited: STOP\nsecond line")
    service.alive()
    service.extend_start(1.5)
    service.stopping()
    assert manager_socket() == [
        "READY=1",
        "STATUS=inhibited: STOP second line",
        "WATCHDOG=1",
        "EXTEND_TIMEOUT_USEC=1500000",
        "STOPPING=1",
    ]


def test_without_a_manager_nothing_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    assert isinstance(service_manager(), NoServiceManager)


def test_a_manager_without_systemd_python_is_a_clear_error(
    manager_socket: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "systemd", None)
    with pytest.raises(Unavailable, match="systemd-python is not installed"):
        service_manager()
