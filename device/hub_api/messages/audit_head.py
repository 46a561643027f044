"""The signed head of the audit log, as it is published."""

from __future__ import annotations

from typing import Annotated, ClassVar

import msgspec

from device.hub_api.messages.base import Count, Message, Sha256, Timestamp


class AuditHead(Message, frozen=True, kw_only=True):
    """Retained; the newest signed row of the audit log. Kept heads prove later that nothing was cut.

    seq, hash   number and SHA-256 of that row;  prev: of the row before
    sig         Ed25519 by `key` over the row (device/audit/rows.py says over which bytes)
    """

    TYPE: ClassVar[str] = "uk.lfr.audit.v1"
    seq: Count
    hash: Sha256
    at: Timestamp
    key: Sha256
    boot: str
    prev: Sha256
    sig: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{128}$")]
