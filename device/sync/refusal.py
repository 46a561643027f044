"""A refusal: something was offered or requested that a rule forbids."""

from __future__ import annotations

from device.errors import RefusedByCondition


class Refused(RefusedByCondition):
    """What a device rejects from its hub, and why.

    rule    the condition that it fails (device/supervisor/conditions/tables.py)
    reason  its name, for the audit log: two or three lower-case words
    """

    def __init__(self, rule: str, reason: str, text: str) -> None:
        super().__init__(rule, text)
        self.reason = reason


SIGNED = "deployment signed"
LOADED = "deployment loaded"
IN_WINDOW = "deployment in its window"
FOR_THIS_DEVICE = "deployment for this device"
SEALED = "watchlist sealed to this device"
FRESH = "watchlist fresh"
AUTHORISED = "watchlist loaded"
SIZE = "watchlist size"
CLOCK = "clock synchronised"
