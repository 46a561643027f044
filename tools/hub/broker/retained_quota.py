"""What each device has the broker keep (retained messages), and which device keeps too much.

1. mosquitto bounds one message, not what a client retains in all. A session of its own (`monitor`, MQTT 5's *retain as
   published*) sees each retained message, and its size, as it comes.
2. A device over its quota loses its rights at the broker, which starts anew and so forgets what was retained; others
   connect again by themselves. It stays cut off until the hub is started anew.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from device.hub_api.topics import HUB, HubTopics, parse
from device.logs import event
from device.ports.broker import Broker

MOST_BYTES = 262_144  # all that a device of 16 cameras retains is some 20 kB
MOST_TOPICS = 64

_log = logging.getLogger(__name__)


class RetainedQuota:
    """The account of one broker's run."""

    def __init__(self) -> None:
        self._kept: dict[str, dict[str, int]] = {}

    def retained(self, topic: str, size: int) -> str | None:
        """One retained message (0 bytes delete it); the device when it is over its quota now."""
        place = parse(topic)
        if place is None or place.device == HUB:
            return None
        theirs = self._kept.setdefault(place.device, {})
        theirs.pop(topic, None)
        if size:
            theirs[topic] = size + len(topic)
        return place.device if len(theirs) > MOST_TOPICS or sum(theirs.values()) > MOST_BYTES else None

    def clear(self) -> None:
        """The broker started anew: nothing is retained."""
        self._kept.clear()


class RetainedMonitor:
    """The session of rule 1. over: called from the broker's thread with a device, once for each run of the broker."""

    def __init__(self, broker: Broker, site: str, over: Callable[[str], None]) -> None:
        self._broker = broker
        self._site = site
        self._over = over
        self._quota = RetainedQuota()
        self._told: set[str] = set()

    def start(self) -> None:
        """Connect in the background."""
        self._broker.subscribe(HubTopics(self._site).of_devices, lambda *_: None, self._retained)
        self._broker.connect(lambda online, _: None if online else self._anew(), lambda _: None)

    def close(self) -> None:
        self._broker.close()

    def _anew(self) -> None:
        self._quota.clear()
        self._told.clear()

    def _retained(self, topic: str, payload: bytes) -> None:
        device = self._quota.retained(topic, len(payload))
        if device is not None and device not in self._told:
            self._told.add(device)
            event(_log, "hub.retained_quota", level=logging.ERROR, device=device, most_bytes=MOST_BYTES)
            self._over(device)
