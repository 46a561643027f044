"""Service manager over systemd-python: sd_notify(3) with readiness, a status line and the watchdog."""

from __future__ import annotations

import os
from typing import Any

from device.errors import Unavailable
from device.ports.service import ServiceManager


class SystemdService:
    """The unit that started us. Unavailable when systemd-python is missing or the manager cannot be notified."""

    def __init__(self) -> None:
        try:
            from systemd import daemon
        except ImportError as fault:
            raise Unavailable(
                "NOTIFY_SOCKET is set but systemd-python is not installed: install the `device` extra"
                " (needs libsystemd-dev), or python3-systemd in a virtual environment with system packages"
            ) from fault
        self._daemon: Any = daemon

    def ready(self) -> None:
        self._notify("READY=1")

    def status(self, text: str) -> None:
        self._notify("STATUS=" + text.replace("\n", " "))

    def alive(self) -> None:
        self._notify("WATCHDOG=1")

    def stopping(self) -> None:
        self._notify("STOPPING=1")

    def _notify(self, message: str) -> None:
        try:
            self._daemon.notify(message)
        except OSError as fault:
            raise Unavailable(f"the service manager cannot be notified of {message.split('=')[0]}: {fault}") from fault


class NoServiceManager:
    """For a start by hand: notifications are dropped. Also the fake: it records each notification."""

    def __init__(self) -> None:
        self.is_ready = False
        self.is_stopping = False
        self.beats = 0
        self.last_status = ""

    def ready(self) -> None:
        self.is_ready = True

    def status(self, text: str) -> None:
        self.last_status = text.replace("\n", " ")

    def alive(self) -> None:
        self.beats += 1

    def stopping(self) -> None:
        self.is_stopping = True


def service_manager() -> ServiceManager:
    """The manager that started this process, by the variable of sd_notify(3); else one that does nothing."""
    return SystemdService() if os.environ.get("NOTIFY_SOCKET") else NoServiceManager()
