"""A count on its way to the hub."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from device.domain.time import WallTime, wall
from device.outbox.message import OutboxMessage
from device.outbox.retry import MessageClass

Count = Callable[[str], OutboxMessage]


@pytest.fixture
def count(noon: WallTime) -> Count:
    """Builder: count("c-1")."""

    def build(name: str) -> OutboxMessage:
        return OutboxMessage(
            id=name,
            kind=MessageClass.COUNT,
            topic="t",
            payload=b"{}",
            content_type="application/json",
            delete_by=wall(noon + timedelta(days=1)),
        )

    return build
