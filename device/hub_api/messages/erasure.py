"""The receipt of an erasure."""

from __future__ import annotations

from typing import ClassVar, Literal

from device.hub_api.messages.base import Count, Message, Timestamp

ErasureReason = Literal[
    "no_match",
    "false_alert",
    "expiry",
    "end_of_deployment",
    "end_of_hold",
    "retention",
    "room",
    "tamper",
    "withdrawn",
]


class Erasure(Message, frozen=True, kw_only=True):
    """Receipt of an erasure; every erasure has one. `method` is how, `chain_hash` ties it to the audit log.

    process_ended: it was not wiped; its process died and the kernel reclaimed the memory.
    """

    TYPE: ClassVar[str] = "uk.lfr.erasure.v1"
    what: Literal["alert", "probe", "watchlist", "template", "outbox"]
    count: Count
    alert_id: str | None
    reason: ErasureReason
    at: Timestamp
    method: Literal["key_destroyed", "zeroed", "unlinked", "process_ended"]
    chain_hash: str | None = None
