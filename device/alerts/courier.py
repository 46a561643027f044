"""Carries what waits in the outbox to the broker, and the broker's answers back.

Belongs to the outbox's one thread: the owner runs `step` and `answered` there, in the order in which things happened.
"""

from __future__ import annotations

import logging

from device.alerts.events import restamp
from device.alerts.outbox import Outbox
from device.alerts.retry import MessageClass
from device.logs import event
from device.ports.broker import Broker, Delivery
from device.ports.clock import Clock

STALE_AFTER_S = 10.0
"""An alert sent this long after its capture is marked historical: the person has left the zone."""

_log = logging.getLogger(__name__)


class Courier:
    """Publishes due messages, at most `limit` a step, and books what became of them."""

    def __init__(self, outbox: Outbox, broker: Broker, clock: Clock, *, limit: int = 8) -> None:
        self._outbox = outbox
        self._broker = broker
        self._clock = clock
        self._limit = limit

    def step(self) -> int:
        """Publish what is due now; returns how many the broker took. Call it after each `put` and ten times a second.

        Raises Unavailable when the disk refuses.
        """
        now, monotonic = self._clock.wall(), self._clock.monotonic()
        taken = 0
        for due in self._outbox.due(now, monotonic, self._limit):
            payload = restamp(due.payload, now, STALE_AFTER_S) if due.kind is MessageClass.ALERT else due.payload
            self._outbox.sent(due.id, monotonic)
            if not self._broker.publish(due.outgoing(now, payload)):
                self._outbox.not_sent(due.id)
                break
            taken += 1
        return taken

    def answered(self, delivery: Delivery) -> bool:
        """Book the broker's answer; True once the message counts as delivered."""
        done = self._outbox.report(
            delivery.token, accepted=delivery.accepted, heard=delivery.heard, monotonic=self._clock.monotonic()
        )
        if not delivery.accepted:
            event(_log, "alerts.not_accepted", level=logging.WARNING, token=delivery.token, reason=delivery.reason)
        elif not delivery.heard and not done:
            event(_log, "alerts.nobody_heard", level=logging.WARNING, token=delivery.token)
        return done

    def session(self, established: bool) -> None:
        """A session came about: try everything at once."""
        if established:
            self._outbox.retry_now()
