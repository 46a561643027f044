"""The base struct of every message and the types of its fields."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, ClassVar

import msgspec

from device.domain.finding import Mode
from device.domain.time import WallTime, wall
from device.errors import BadData

Timestamp = Annotated[
    str, msgspec.Meta(pattern=r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z$", description="RFC 3339, UTC")
]
Count = Annotated[int, msgspec.Meta(ge=0)]
Unit = Annotated[float, msgspec.Meta(ge=0, le=1)]
Cosine = Annotated[float, msgspec.Meta(ge=-1.001, le=1.001)]
Sha256 = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}$")]


def moment(text: str) -> WallTime:
    """The wall time of a Timestamp. BadData for a date that does not exist: the pattern admits month 99."""
    try:
        return wall(datetime.fromisoformat(text.replace("Z", "+00:00")))
    except (ValueError, OverflowError) as fault:
        raise BadData(f"{text!r} is no time: {fault}") from fault


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """Base of all message data; `TYPE` is the CloudEvents type."""

    TYPE: ClassVar[str] = ""
    mode: Mode | None

    @classmethod
    def type_name(cls) -> str:
        return cls.TYPE
