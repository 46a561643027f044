"""Retry and retention of each class of message: data, read by the outbox."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from device.domain.time import NS_PER_S, MonotonicNs


class MessageClass(str, Enum):
    """A message's class, which decides how it is kept."""

    ALERT = "alert"
    PROBE = "probe"
    RECEIPT = "receipt"
    COUNT = "count"


@dataclass(frozen=True, slots=True)
class DeliveryPolicy:
    """How one class is retried and kept; waits double from first_s to most_s.

    confirmed             delivered only when a hub that confirms has it on its disk
    kept                  rows stay after delivery until their delete_by
    sealed                rows are encrypted under their alert's key
    """

    first_s: float
    most_s: float
    confirmed: bool
    kept: bool
    sealed: bool

    def wait_ns(self, attempts: int) -> MonotonicNs:
        """Wait before the next try after that many (1 or more) failed ones."""
        return MonotonicNs(round(min(self.most_s, self.first_s * 2.0 ** min(attempts - 1, 30)) * NS_PER_S))


POLICIES: dict[MessageClass, DeliveryPolicy] = {
    MessageClass.ALERT: DeliveryPolicy(0.5, 15.0, confirmed=False, kept=True, sealed=True),
    MessageClass.PROBE: DeliveryPolicy(0.5, 15.0, confirmed=False, kept=True, sealed=True),
    MessageClass.RECEIPT: DeliveryPolicy(1.0, 60.0, confirmed=True, kept=False, sealed=False),
    MessageClass.COUNT: DeliveryPolicy(5.0, 60.0, confirmed=True, kept=False, sealed=False),
}

CONFIRM_WITHIN_S = 30.0
"""A message that was handed to the broker and got no report for this long is tried again."""

HUB_CONFIRMS_WITHIN_S = 5.0
"""A message that the hub has not confirmed for this long after the broker's report is sent again. A hub confirms as
soon as its disk has it."""

ROOM_ORDER = (MessageClass.COUNT, MessageClass.RECEIPT)
"""Classes given up for room when the outbox is full, first to last. Alerts are never given up for room."""
