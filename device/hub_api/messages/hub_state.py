"""State of the hub and its operator."""

from __future__ import annotations

from typing import ClassVar, Literal

from device.hub_api.messages.base import Message, Timestamp

Operator = Literal["present", "simulated", "absent"]


class HubState(Message, frozen=True, kw_only=True):
    """Whether an operator is present; the will says offline. Without one a device does not recognise.

    operator  `simulated`: the hub only reports one; it counts for recordings outside operational mode
    operator_present  a person is present: the same as operator `present`, for older receivers
    """

    TYPE: ClassVar[str] = "uk.lfr.hub-state.v1"
    state: Literal["online", "offline"]
    operator: Operator
    operator_present: bool
    session_id: str | None
    at: Timestamp

    def __post_init__(self) -> None:
        if self.operator_present != (self.operator == "present"):
            raise ValueError(f"operator_present {self.operator_present} contradicts operator {self.operator!r}")
