"""State of the hub and its operator, and what the hub has on its disk."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import msgspec

from device.hub_api.messages.base import Message, Timestamp

Operator = Literal["present", "simulated", "absent"]
RECEIVED_MOST = 100


class HubState(Message, frozen=True, kw_only=True):
    """Whether an operator is present; the will says offline. Without one a device does not recognise.

    operator  `simulated`: the hub only reports one; it counts for recordings outside operational mode
    operator_present  a person is present: the same as operator `present`, for older receivers
    confirms  receipts and counts that are on the hub's disk are confirmed (`Received`); older hubs do not
    """

    TYPE: ClassVar[str] = "uk.lfr.hub-state.v1"
    state: Literal["online", "offline"]
    operator: Operator
    operator_present: bool
    session_id: str | None
    at: Timestamp
    confirms: bool = False

    def __post_init__(self) -> None:
        if self.operator_present != (self.operator == "present"):
            raise ValueError(f"operator_present {self.operator_present} contradicts operator {self.operator!r}")


class Received(Message, frozen=True, kw_only=True):
    """Receipts and counts of one device that are on the hub's disk, or that it refuses for good: sent no more.

    event_ids  ids of the events (CloudEvents `id`)
    """

    TYPE: ClassVar[str] = "uk.lfr.received.v1"
    event_ids: Annotated[list[str], msgspec.Meta(min_length=1, max_length=RECEIVED_MOST)]
    at: Timestamp
