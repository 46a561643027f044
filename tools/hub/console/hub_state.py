"""The hub's own retained state: online with its operator, or offline (also its will)."""

from __future__ import annotations

from typing import Literal

from device.domain.finding import Mode
from device.domain.time import WallTime, rfc3339
from device.hub_api import messages
from device.hub_api.events import CONTENT_TYPE, encode
from device.hub_api.identifiers import uuid7
from device.hub_api.topics import HUB, HubTopics
from device.ports.broker import Outgoing


def state_message(
    topics: HubTopics, mode: Mode, now: WallTime, operator: messages.Operator, session_id: str | None
) -> Outgoing:
    """The hub's retained state."""
    return _retained(topics, _state(mode, now, "online", operator, session_id), now)


def offline_message(site: str, mode: Mode, now: WallTime) -> Outgoing:
    """The hub's will, also published at a clean end."""
    return _retained(HubTopics(site), _state(mode, now, "offline", "absent", None), now)


def _state(
    mode: Mode, now: WallTime, state: Literal["online", "offline"], operator: messages.Operator, session_id: str | None
) -> messages.HubState:
    return messages.HubState(
        mode=mode,
        state=state,
        operator=operator,
        operator_present=operator == "present",
        session_id=session_id,
        at=rfc3339(now),
        confirms=state == "online",
    )


def _retained(topics: HubTopics, data: messages.HubState, now: WallTime) -> Outgoing:
    token = uuid7(now)
    payload = encode(data, event_id=token, source=topics.base, subject=HUB, at=now)
    return Outgoing(token, topics.state, payload, 1, True, None, CONTENT_TYPE)
