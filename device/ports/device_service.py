"""The device's service as the updater sees and restarts it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Reading:
    """The service at one moment.

    state     the service manager's word: active (it has sent READY=1), activating, failed, inactive …
    restarts  how often the service manager has started it again by itself
    line      its last status line
    status    the supervisor's status file; None when there is none, or when it is older than STALE_S
    """

    state: str
    restarts: int
    line: str
    status: dict[str, Any] | None


class DeviceService(Protocol):
    """lfr.service. Raises Unavailable when the service manager does not answer."""

    def reading(self) -> Reading: ...

    def restart(self) -> None:
        """Read unit files again and start the service anew; does not wait until it is ready."""
