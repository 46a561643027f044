"""The broker of the hub's own process."""

from __future__ import annotations

from tools.hub.broker.configuration import write_broker_files
from tools.hub.broker.mosquitto import start_broker
from tools.hub.storage.folder import HubFolder


class OwnBroker:
    """Started anew, on its port, when a certificate was revoked or a device is cut off. Used on the main thread."""

    def __init__(self, hub: HubFolder, port: int) -> None:
        self._hub = hub
        self._cut_off: set[str] = set()
        self._running = start_broker(hub, port)
        self.port = self._running.port

    @property
    def pid(self) -> int:
        return self._running.pid

    def running(self) -> bool:
        """Whether the process is alive."""
        return self._running.running()

    def start_anew(self) -> None:
        """Every connection ends; those whose certificate still counts come back by themselves."""
        self._running.stop()
        self._running = start_broker(self._hub, self.port, without=frozenset(self._cut_off))

    def cut_off(self, device: str) -> None:
        """Take a device's rights away, and forget what it retained (retained_quota.py, rule 2)."""
        self._cut_off.add(device)
        self.start_anew()

    def devices_added(self) -> None:
        """Let devices in that `lfr hub init` added; connections stay."""
        write_broker_files(self._hub, self._hub.settings(), self.port, without=frozenset(self._cut_off))
        self._running.read_access_list_again()

    def log(self) -> list[str]:
        """Its last log lines."""
        return self._running.log()

    def stop(self) -> None:
        self._running.stop()
