"""A refusal: a publication or a request breaks a rule, and the condition that states the rule fails."""

from __future__ import annotations

from device.domain.conditions import ConditionName
from device.errors import RefusedByCondition


class Refused(RefusedByCondition):
    """A publication that a device does not accept, and why.

    condition  the one that it fails (device/supervisor/conditions/tables.py); ValueError for an unknown name
    reason     for the audit log: two or three lower-case words
    """

    def __init__(self, condition: ConditionName | str, reason: str, text: str) -> None:
        self.condition = ConditionName(condition)
        super().__init__(self.condition.value, text)
        self.reason = reason


SIGNED = ConditionName.DEPLOYMENT_SIGNED
LOADED = ConditionName.DEPLOYMENT_LOADED
IN_WINDOW = ConditionName.DEPLOYMENT_IN_ITS_WINDOW
FOR_THIS_DEVICE = ConditionName.DEPLOYMENT_FOR_THIS_DEVICE
SEALED = ConditionName.WATCHLIST_SEALED_TO_THIS_DEVICE
FRESH = ConditionName.WATCHLIST_FRESH
AUTHORISED = ConditionName.WATCHLIST_LOADED
SIZE = ConditionName.WATCHLIST_SIZE
CLOCK = ConditionName.CLOCK_SYNCHRONISED
