"""Port: the MQTT session to the van hub."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One message. `token` comes back in the delivery report; expiry in whole seconds, None for none.

    response_topic  where the answer is expected; `correlation` is in it again (MQTT 5, 4.10)
    """

    token: str
    topic: str
    payload: bytes
    qos: int
    retain: bool
    expiry_s: int | None
    content_type: str
    response_topic: str | None = None
    correlation: bytes | None = None


@dataclass(frozen=True, slots=True)
class Delivery:
    """The broker's answer to one message. Only `accepted` counts as delivered; `acknowledged` is False when the broker
    had no subscriber for it (an alert without a receiver is a fault, not a success)."""

    token: str
    accepted: bool
    acknowledged: bool
    reason: str


class Broker(Protocol):
    """One session, one will. Callbacks arrive on the edge's own thread; the owner moves them to its loop.

    `on_retained` receives messages that the broker had kept before the subscription, not `on_message`: they do not show
    that their sender is alive. `publish` returns False when the message was not accepted (no session); the caller
    keeps it and retries. `reload` reads the certificates again, for the next session; BrokerUnavailable when they
    cannot be used.
    """

    def connect(self, on_session: Callable[[bool, str], None], on_delivery: Callable[[Delivery], None]) -> None: ...

    def subscribe(
        self,
        pattern: str,
        on_message: Callable[[str, bytes], None],
        on_retained: Callable[[str, bytes], None] | None = None,
    ) -> None: ...

    def publish(self, message: Outgoing) -> bool: ...

    def reload(self) -> None: ...

    def close(self) -> None: ...
