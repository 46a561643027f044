"""Port: the service manager that started this process."""

from __future__ import annotations

from typing import Protocol


class ServiceManager(Protocol):
    """sd_notify(3): readiness, a status line, a watchdog. Without a service manager all calls do nothing."""

    def ready(self) -> None: ...

    def status(self, text: str) -> None: ...

    def alive(self) -> None: ...

    def stopping(self) -> None: ...

    def extend_start(self, within_s: float) -> None:
        """Allow the start this many seconds from now on, beyond the unit's TimeoutStartSec."""
        ...
