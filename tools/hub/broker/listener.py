"""A listener on the hub's side of the broker: records what arrives over MQTT, with its own certificate.

It keeps the messages and their times of arrival; of a probe only whether it opens with the hub's identity, no picture.
The demonstration, the benchmark and end-to-end tests check what it received, not the device's own status.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from device.domain.time import MonotonicNs
from device.edges.broker.paho import PahoBroker
from device.errors import BadData, BrokerUnavailable
from device.hub_api.events import decode
from device.hub_api.messages import Alert, DeviceState, Erasure, HubState, Message, Stats, Status
from device.hub_api.topics import HubTopics, parse
from tools.hub.storage.folder import HubFolder
from tools.hub.storage.probes import ProbeOpener, digest

SESSION_WITHIN_S = 15.0


@dataclass(frozen=True, slots=True)
class Arrival:
    """One decoded message; wall_ns and monotonic are the listener's own clocks at its arrival."""

    topic: str
    device: str
    data: Message
    event_id: str
    wall_ns: int
    monotonic: MonotonicNs


@dataclass(frozen=True, slots=True)
class ProbeArrival:
    """One probe, without its picture."""

    alert_id: str
    sha256: str
    opens: bool
    size_bytes: int
    wall_ns: int
    monotonic: MonotonicNs


@dataclass(slots=True)
class Received:
    """Everything that has arrived, in order; duplicates (same source and id) are counted, not kept."""

    arrivals: list[Arrival] = field(default_factory=list)
    probes: list[ProbeArrival] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)
    duplicates: int = 0

    @property
    def alerts(self) -> dict[str, list[Alert]]:
        """Alert id to its revisions, first to last."""
        found: dict[str, list[Alert]] = {}
        for arrival in self.arrivals:
            if isinstance(arrival.data, Alert):
                found.setdefault(arrival.data.alert_id, []).append(arrival.data)
        return found

    @property
    def revisions(self) -> int:
        """Revisions of alerts beyond each one's first."""
        return sum(len(statements) - 1 for statements in self.alerts.values())

    @property
    def erasures(self) -> list[Erasure]:
        return [a.data for a in self.arrivals if isinstance(a.data, Erasure)]

    @property
    def states(self) -> list[str]:
        """Device states as they changed, repetitions left out."""
        seen = [a.data.state for a in self.arrivals if isinstance(a.data, DeviceState)]
        return [s for n, s in enumerate(seen) if n == 0 or s != seen[n - 1]]

    @property
    def stats(self) -> dict[str, Stats]:
        """The latest counts of each device, by their own time: a message kept in an outbox may be late."""
        found: dict[str, Stats] = {}
        for arrival in self.arrivals:
            data = arrival.data
            if isinstance(data, Stats) and (arrival.device not in found or data.at >= found[arrival.device].at):
                found[arrival.device] = data
        return found

    @property
    def statuses(self) -> list[str]:
        return [a.data.status for a in self.arrivals if isinstance(a.data, Status)]

    @property
    def operator_present(self) -> bool:
        """Whether the hub last reported an operator, simulated or not."""
        said = (a.data.operator != "absent" for a in reversed(self.arrivals) if isinstance(a.data, HubState))
        return next(said, False)

    def first_alert_arrivals(self) -> dict[str, Arrival]:
        """Alert id to the arrival of its first revision, for latencies."""
        found: dict[str, Arrival] = {}
        for arrival in self.arrivals:
            if isinstance(arrival.data, Alert):
                found.setdefault(arrival.data.alert_id, arrival)
        return found


class Listener:
    """Subscribes to a whole site. Blocking; a context manager."""

    def __init__(self, hub: HubFolder, port: int, *, person: str = "listener", host: str = "localhost") -> None:
        self._site = hub.settings().site
        self._opener = ProbeOpener(hub.keys)
        self._broker = PahoBroker(hub.address(person, port, host), person, session_expiry_s=0)
        self._changed = threading.Condition()
        self._online = False
        self._reason = "no session yet"
        self._seen: set[tuple[str, str]] = set()
        self.received = Received()

    def __enter__(self) -> Listener:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> Listener:
        """Connect and subscribe; returns when the broker confirmed it. BrokerUnavailable after SESSION_WITHIN_S."""
        self._broker.subscribe(HubTopics(self._site).everything, self._arrived)
        self._broker.connect(self._session, lambda _: None)
        with self._changed:
            if not self._changed.wait_for(lambda: self._online, SESSION_WITHIN_S):
                reason = self._reason
                self._broker.close()
                raise BrokerUnavailable(f"the listener has no session after {SESSION_WITHIN_S:g} s: {reason}")
        return self

    def wait_for(self, condition: Callable[[Received], bool], within_s: float) -> bool:
        """Block until the condition holds of what was received; False at the deadline."""
        with self._changed:
            return self._changed.wait_for(lambda: condition(self.received), within_s)

    def close(self) -> None:
        """End the session. `received` stays readable."""
        self._broker.close()

    def _session(self, online: bool, reason: str) -> None:
        with self._changed:
            self._online, self._reason = online, reason
            self._changed.notify_all()

    def _arrived(self, topic: str, payload: bytes) -> None:
        wall_ns, monotonic = time.time_ns(), MonotonicNs(time.monotonic_ns())
        place = parse(topic)
        with self._changed:
            if place is None:
                self.received.unreadable.append(f"{topic}: not a topic of ours")
            elif place.branch == "alert/probe":
                self.received.probes.append(
                    ProbeArrival(
                        place.subject or "", digest(payload), self._opens(payload), len(payload), wall_ns, monotonic
                    )
                )
            else:
                self._decoded(topic, place.device, payload, wall_ns, monotonic)
            self._changed.notify_all()

    def _decoded(self, topic: str, device: str, payload: bytes, wall_ns: int, monotonic: MonotonicNs) -> None:
        try:
            event = decode(payload)
        except BadData as fault:
            self.received.unreadable.append(f"{topic}: {fault}")
            return
        if (event.source, event.id) in self._seen:
            self.received.duplicates += 1
            return
        self._seen.add((event.source, event.id))
        self.received.arrivals.append(Arrival(topic, device, event.data, event.id, wall_ns, monotonic))

    def _opens(self, ciphertext: bytes) -> bool:
        try:
            self._opener.open(ciphertext)
        except BadData:
            return False
        return True
