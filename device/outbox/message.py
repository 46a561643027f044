"""What goes into the outbox, what comes out of it to be published, and what is reported of an erasure."""

from __future__ import annotations

from dataclasses import dataclass

from device.domain.time import WallTime
from device.outbox.retry import MessageClass
from device.ports.broker import Outgoing


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxMessage:
    """One message to keep until it is delivered. `id` is unique and stays the same for every try.

    probe  the alert's picture, kept in the same transaction: no power cut leaves an alert without it
    receipt_of  the erased alert of which this is the receipt: from then on none is owed
    """

    id: str
    kind: MessageClass
    topic: str
    payload: bytes
    content_type: str
    delete_by: WallTime
    expires_at: WallTime | None = None
    alert_id: str | None = None
    revision: int = 0
    qos: int = 1
    probe: OutboxMessage | None = None
    receipt_of: str | None = None


@dataclass(frozen=True, slots=True)
class Due:
    """A message to be published now."""

    id: str
    kind: MessageClass
    topic: str
    payload: bytes
    content_type: str
    qos: int
    expires_at: WallTime | None

    def outgoing(self, now: WallTime, payload: bytes | None = None) -> Outgoing:
        """As the broker port takes it; the rest of its life becomes the MQTT message expiry. Never retained."""
        rest = None if self.expires_at is None else max(1, round((self.expires_at - now).total_seconds()))
        return Outgoing(
            self.id, self.topic, self.payload if payload is None else payload, self.qos, False, rest, self.content_type
        )


@dataclass(frozen=True, slots=True)
class ErasedAlert:
    """One alert that was erased here, for its receipt. reason: as in `messages.Erasure`."""

    alert_id: str
    reason: str
    rows: int
    existed: bool = True
    """Whether there was anything of it here: a judgement of an unknown alert erases and counts nothing."""
