"""What the outbox publisher is asked to do with what is stored: erase or hold alerts, drop what the hub confirmed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from device.domain.time import WallTime
from device.outbox.holds import Kind
from device.outbox.message import OutboxMessage

EXPIRY = "retention"


@dataclass(frozen=True, slots=True)
class Erase:
    """Erase one alert, all (None), or those with an undelivered message for which `concerns` is true."""

    alert_id: str | None
    reason: str
    concerns: Callable[[bytes], bool] | None = None

    def covers(self, message: OutboxMessage) -> bool:
        """Whether this erases the message, too, once it is carried out; what expires is chosen by the outbox alone."""
        if self.concerns is not None:
            return self.concerns(message.payload)
        if self.alert_id is None:
            return self.reason != EXPIRY
        return self.alert_id == message.alert_id


@dataclass(frozen=True, slots=True)
class Hold:
    """Keep one alert until then, or (None) no longer than its time."""

    alert_id: str
    kind: Kind
    until: WallTime | None
    reason: str = "hold"


@dataclass(frozen=True, slots=True)
class Confirmed:
    """The hub has these receipts and counts on its disk."""

    message_ids: tuple[str, ...]
