"""Receipts and counts of devices: each counts once, and is confirmed to its device when it is on the hub's disk.

A broker's acknowledgement shows only that the broker had the message. Killed before it passed it on, or a hub killed
before its next commit, it is gone; so devices send receipts and counts until the hub has confirmed them by their ids.

1. Every message is confirmed after the commit that followed it: the repetition of one that was counted before, too, and
   one that the hub refuses for good, or its device would send it for a week.
2. A confirmation may be lost: the device sends the message again, it is not counted again, and confirmed again.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice

from device.domain.finding import Mode
from device.domain.time import WallTime, rfc3339
from device.hub_api.contract import CONFIRMATION_EXPIRY_S
from device.hub_api.events import CONTENT_TYPE, encode
from device.hub_api.identifiers import uuid7
from device.hub_api.messages import RECEIVED_MOST, Erasure, Received
from device.hub_api.topics import HubTopics
from device.ports.broker import Broker, Outgoing
from tools.hub.storage.sealed_desk import SEEN_MOST, SealedDesk

WAITING_MOST = 2_000  # of a device; what is left out is sent again by it


class CountedOnce:
    """Ids of receipts and of the blue list's messages that were counted, on the disk with the counts."""

    def __init__(self, store: SealedDesk | None) -> None:
        """Load the store's content."""
        self._store = store
        self._known = dict.fromkeys(store.seen() if store is not None else ())
        self._uncommitted: list[str] = []

    def first_time(self, source: str, event_id: str) -> bool:
        """Whether an event is new; it is known from now on."""
        key = f"{source} {event_id}"
        if key in self._known:
            return False
        self._known[key] = None
        if len(self._known) > SEEN_MOST:
            del self._known[next(iter(self._known))]
        self._uncommitted.append(key)
        if self._store is not None:
            self._store.put_seen(key)
        return True

    def put_again(self) -> None:
        """The disk refused the last transaction: put what was in it into the next one."""
        if self._store is not None:
            for key in self._uncommitted:
                self._store.put_seen(key)

    def committed(self) -> None:
        """It is on the disk."""
        self._uncommitted.clear()


def receipt_key(event_id: str, receipt: Erasure) -> str:
    """What makes a receipt the same as another: of an alert that ceased to exist, the alert, whatever its event."""
    erased = receipt.what == "alert" and receipt.alert_id is not None and receipt.count > 0
    return f"erased {receipt.alert_id}" if erased else event_id


class Confirmations:
    """What is to be confirmed to each device."""

    def __init__(self, broker: Broker, topics: HubTopics, mode: Mode, now: Callable[[], WallTime]) -> None:
        self._broker = broker
        self._topics = topics
        self._mode = mode
        self._now = now
        self._waiting: dict[str, dict[str, None]] = {}

    def received(self, device: str, event_id: str) -> None:
        """A receipt or a count arrived: to be confirmed after the next commit."""
        waiting = self._waiting.setdefault(device, {})
        waiting[event_id] = None
        if len(waiting) > WAITING_MOST:
            del waiting[next(iter(waiting))]

    def send(self) -> None:
        """Everything that arrived is on the disk: confirm it; without a session devices send it again."""
        for device, waiting in tuple(self._waiting.items()):
            while some := list(islice(waiting, RECEIVED_MOST)):
                if not self._broker.publish(self._message(device, some)):
                    return
                for event_id in some:
                    del waiting[event_id]

    def _message(self, device: str, event_ids: list[str]) -> Outgoing:
        now = self._now()
        token = uuid7(now)
        data = Received(mode=self._mode, event_ids=event_ids, at=rfc3339(now))
        payload = encode(data, event_id=token, source=self._topics.base, subject=device, at=now)
        topic = self._topics.received(device)
        return Outgoing(token, topic, payload, 1, False, CONFIRMATION_EXPIRY_S, CONTENT_TYPE)
