"""The hub's messages: operator state, judgements of alerts, confirmations, commands.

1. A gap in the connection is bridged for a few seconds (the condition says how long); an operator who signs out counts
   at once.
2. Commands go to supervisor/commands.py, which decides whether they are obeyed.
3. A judgement that the broker retained counts for nothing: the hub retains none.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar

from device.domain.time import NS_PER_S
from device.errors import BadData
from device.hub_api import events, messages, topics
from device.logs import event
from device.ports.clock import Clock
from device.supervisor.alerts.judgements import FollowUp
from device.supervisor.alerts.outbox_publisher import OutboxPublisher

_log = logging.getLogger(__name__)
Kind = TypeVar("Kind", bound=messages.Message)
FOLLOWED_MOST = 1000


class Hub:
    """The hub's state as this device has received it."""

    def __init__(
        self,
        site: str,
        device: str,
        clock: Clock,
        *,
        publisher: OutboxPublisher,
        on_judgement: Callable[[messages.Adjudication], None],
        on_follow_up: Callable[[FollowUp], None],
        on_command: Callable[[str, bytes, bool], None],
    ) -> None:
        """on_command: name, payload, whether the broker had retained it."""
        self.operator: messages.Operator = "absent"
        self.session_id: str | None = None
        self.link = ""
        self._topics = topics.HubTopics(site)
        self._device = topics.DeviceTopics(site, device)
        self._clock = clock
        self._publisher = publisher
        self._on_judgement = on_judgement
        self._on_follow_up = on_follow_up
        self._on_command = on_command
        self._online = False
        self._last_ns: int | None = None
        self._followed: dict[tuple[str, str], FollowUp] = {}

    def subscribe(self) -> None:
        """Subscribe to every topic that a device must act on."""
        self._publisher.subscribe(self._topics.state, self._on_state)
        name = self._device.device
        self._publisher.subscribe(self._topics.adjudications(name), self._on_adjudication, _ignore)
        for pattern in self._topics.follow_ups(name):
            self._publisher.subscribe(pattern, self._on_follow, _ignore)
        self._publisher.subscribe(self._topics.received(name), self._on_received, _ignore)
        self._publisher.subscribe(
            self._device.commands,
            lambda topic, payload: self._on_cmd(topic, payload, retained=False),
            lambda topic, payload: self._on_cmd(topic, payload, retained=True),
        )

    def connection(self, present: bool, reason: str) -> None:
        """The device's own session opened or was lost, and why; the hub's retained state follows a new one."""
        self.link = "" if present else reason
        if not present:
            self._away()

    def absent_s(self) -> float | None:
        """How long the hub has been offline: 0 while it is online, None if it never was."""
        if self._online:
            return 0.0
        return None if self._last_ns is None else (self._clock.monotonic() - self._last_ns) / NS_PER_S

    def _away(self) -> None:
        if self._online:
            self._online = False
            self._publisher.set_hub_online(online=False)
            self._last_ns = int(self._clock.monotonic())

    def _on_state(self, _: str, payload: bytes) -> None:
        state = _data(payload, messages.HubState)
        if state is None:
            return
        if state.state == "online":
            self._online, self._last_ns = True, int(self._clock.monotonic())
            self.operator, self.session_id = state.operator, state.session_id
            self._publisher.set_hub_online(online=True, confirms=state.confirms)
        else:
            self._away()

    def _on_adjudication(self, topic: str, payload: bytes) -> None:
        judgement = _data(payload, messages.Adjudication)
        if judgement is None or not self._is_of(topic, judgement.alert_id):
            event(_log, "hub.judgement_refused", level=logging.WARNING, topic=topic)
            return
        self._on_judgement(judgement)

    def _on_follow(self, topic: str, payload: bytes) -> None:
        data = _data(payload, messages.Message)
        if not isinstance(data, messages.Engagement | messages.Disposition | messages.Hold):
            data = None
        if data is None or not self._is_of(topic, data.alert_id):
            event(_log, "hub.judgement_refused", level=logging.WARNING, topic=topic)
            return
        last = (data.alert_id, type(data).__name__)
        if self._followed.get(last) == data:
            return  # the hub repeats it until it knows that it was delivered
        self._followed[last] = data
        if len(self._followed) > FOLLOWED_MOST:
            del self._followed[next(iter(self._followed))]
        self._on_follow_up(data)

    def _on_received(self, _: str, payload: bytes) -> None:
        data = _data(payload, messages.Received)
        if data is not None:
            self._publisher.confirmed(data.event_ids)

    def _is_of(self, topic: str, alert_id: str) -> bool:
        """Whether a topic is this device's and the alert's of the message."""
        place = topics.parse(topic)
        return place is not None and place.subject == alert_id and place.about == self._device.device

    def _on_cmd(self, topic: str, payload: bytes, *, retained: bool) -> None:
        self._on_command(topic.rsplit("/", 1)[-1], payload, retained)


def _ignore(topic: str, _: bytes) -> None:
    """Rule 3; a confirmation, too."""
    event(_log, "hub.retained_judgement_ignored", level=logging.WARNING, topic=topic)


def _data(payload: bytes, kind: type[Kind]) -> Kind | None:
    try:
        data = events.decode(payload).data
    except BadData as fault:
        event(_log, "hub.bad_message", level=logging.WARNING, problem=str(fault))
        return None
    return data if isinstance(data, kind) else None
