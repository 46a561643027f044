"""The device's MQTT notices: status, birth, state, health, cameras, watchlist (retained) and stats.

A notice is sent when its content has changed (the state's details every STATE_DETAILS_S at most), health every
HEALTH_S, kept stats every STATS_S and at the end, live stats in between so that the hub's counters move.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Literal

import msgspec

from device.domain.finding import Mode
from device.domain.time import NS_PER_S, rfc3339, wall
from device.hub_api import events, messages
from device.hub_api.identifiers import uuid7
from device.hub_api.topics import DeviceTopics
from device.outbox.message import OutboxMessage
from device.outbox.retry import MessageClass
from device.ports.broker import Outgoing
from device.ports.clock import Clock
from device.supervisor.alerts.outbox_publisher import OutboxPublisher
from device.supervisor.timing import HEALTH_S, LIVE_STATS_S, STATE_DETAILS_S, STATS_KEPT, STATS_S, VIEW_EXPIRES_S


def will(site: str, device: str, boot_id: str, clock: Clock) -> Outgoing:
    """The MQTT will: the broker publishes `offline`, retained, if this process dies."""
    topics = DeviceTopics(site, device)
    status = messages.Status(mode=None, status="offline", boot_id=boot_id, bd_seq=0)
    return _notice(topics, topics.status, status, device, clock, qos=1)


class Notices:
    """Builds and posts notices; the outbox publisher repeats what is retained after every reconnection."""

    def __init__(
        self,
        topics: DeviceTopics,
        boot_id: str,
        cameras: tuple[str, ...],
        clock: Clock,
        *,
        publisher: OutboxPublisher,
        mode: Callable[[], Mode | None],
        audit_key: Callable[[], str | None],
    ) -> None:
        self._publisher = publisher
        self._mode = mode
        self._audit_key = audit_key
        self._topics = topics
        self._boot_id = boot_id
        self._cameras = cameras
        self._clock = clock
        self._bd_seq = 0
        self._sent: dict[str, bytes] = {}
        self._state = ""
        self._state_ns = 0
        self._health_ns: int | None = None
        self._stats_ns = self._live_stats_ns = int(clock.monotonic())
        self._counted: bytes | None = None

    @property
    def mode(self) -> Mode | None:
        """Of the loaded deployment; None without one."""
        return self._mode()

    def session_began(self, engine: messages.Engine | None, threshold: tuple[float, str] | None) -> None:
        """Publish status and birth certificate on a new session."""
        self._bd_seq += 1
        self.identity(engine, threshold)
        self._status("online")

    def identity(self, engine: messages.Engine | None, threshold: tuple[float, str] | None) -> None:
        """The birth certificate; sent again when a worker has reported its engine."""
        birth = messages.Birth(
            mode=self._mode(),
            device_id=self._topics.device,
            boot_id=self._boot_id,
            bd_seq=self._bd_seq,
            software_version=version(),
            audit_key=self._audit_key(),
            cameras=list(self._cameras),
            engine=engine,
            schemas=sorted(kind.type_name() for kind in messages.MESSAGES),
            threshold=None if threshold is None else threshold[0],
            threshold_source=None if threshold is None else threshold[1],
        )
        self._send_changed(self._topics.birth, birth, self._topics.device)

    def recipient(self, deployment: str | None, recipient: str | None) -> None:
        """The recipient to which the hub addresses the key envelope; None for both once the identity is dropped."""
        identity = messages.Identity(
            mode=self._mode(),
            boot_id=self._boot_id,
            deployment_id=deployment,
            recipient=recipient,
            at=now_text(self._clock),
        )
        self._send_changed(self._topics.identity, identity, self._topics.device)

    def stopped(self) -> None:
        """Publish a clean end, which differs from the will's `offline`."""
        self._status("stopped")

    def state(self, state: messages.DeviceState) -> None:
        """The state and its reasons; a new state at once, new details of the same one when they are due."""
        now = int(self._clock.monotonic())
        if state.state == self._state and now - self._state_ns < STATE_DETAILS_S * NS_PER_S:
            return
        if self._send_changed(self._topics.state, state, self._topics.device):
            self._state, self._state_ns = state.state, now

    def camera(self, status: messages.CameraStatus) -> None:
        """One camera's status."""
        self._send_changed(self._topics.camera_status(status.camera_id), status, status.camera_id)

    def watchlist(self, state: messages.WatchlistState) -> None:
        """Which list is loaded, or when it was erased."""
        self._send_changed(self._topics.watchlist_state, state, state.watchlist_id or self._topics.device)

    def health_due(self) -> bool:
        """Whether HEALTH_S have passed since the last one."""
        return self._health_ns is None or self._clock.monotonic() - self._health_ns >= HEALTH_S * NS_PER_S

    def health(self, health: messages.Health) -> None:
        """The host's health."""
        self._health_ns = int(self._clock.monotonic())
        topic = self._topics.health
        self._publisher.post(_notice(self._topics, topic, health, self._topics.device, self._clock, qos=0))

    def stats_due(self) -> bool:
        """Whether STATS_S have passed since the last ones."""
        return self._clock.monotonic() - self._stats_ns >= STATS_S * NS_PER_S

    def stats(self, stats: messages.Stats) -> None:
        """The counts; kept until delivered, because they are published long after."""
        self._stats_ns = int(self._clock.monotonic())
        self._keep(self._topics.stats, stats, self._topics.device, MessageClass.COUNT)

    def live_stats(self, stats: messages.Stats) -> None:
        """The present counts: at most every LIVE_STATS_S, not kept and not retained."""
        now = int(self._clock.monotonic())
        counted = msgspec.json.encode(
            msgspec.structs.replace(stats, at="", fps=0.0, frames=0, sign_pulses=0, sign_dark_ms=0)
        )
        nobody_yet = not stats.tracks and not stats.faces_seen
        if nobody_yet or counted == self._counted or now - self._live_stats_ns < LIVE_STATS_S * NS_PER_S:
            return
        self._counted, self._live_stats_ns = counted, now
        topic = self._topics.stats
        self._publisher.post(_notice(self._topics, topic, stats, self._topics.device, self._clock, qos=0, retain=False))

    def receipt(self, erasure: messages.Erasure) -> None:
        """A receipt of an erasure; kept until the hub has acknowledged it. One that counts nothing (an alert that was
        erased before, judged again) pays none that is owed.
        """
        self._keep(
            self._topics.erasure,
            erasure,
            erasure.alert_id or erasure.what,
            MessageClass.RECEIPT,
            receipt_of=erasure.alert_id if erasure.count else None,
        )

    def command_reply(self, reply: messages.CommandReply) -> None:
        """The answer to a command: not kept, not retained; the hub repeats what must be answered."""
        topic = self._topics.command_reply(reply.name)
        notice = _notice(self._topics, topic, reply, reply.command_id, self._clock, qos=1, retain=False)
        self._publisher.post(replace(notice, correlation=reply.command_id.encode()))

    def view(self, camera: str, sealed: bytes) -> None:
        """A picture of the live view, ciphertext to the hub: now or never, not retained."""
        topic = self._topics.view(camera)
        token = uuid7(self._clock.wall())
        kind = events.PROBE_CONTENT_TYPE
        self._publisher.offer(Outgoing(token, topic, sealed, 0, False, VIEW_EXPIRES_S, kind))

    def audit(self, head: messages.AuditHead) -> None:
        """The newest signed head of the audit log: retained, so that a later subscriber has it too."""
        self._send_changed(self._topics.audit, head, self._topics.device)

    def _status(self, status: Literal["online", "stopped"]) -> None:
        message = messages.Status(mode=self._mode(), status=status, boot_id=self._boot_id, bd_seq=self._bd_seq)
        self._publisher.post(
            _notice(self._topics, self._topics.status, message, self._topics.device, self._clock, qos=1)
        )

    def _send_changed(self, topic: str, message: messages.Message, subject: str) -> bool:
        """Post a notice unless its content is the same as the last one on its topic; whether it was sent."""
        encoded = msgspec.json.encode(message)
        if self._sent.get(topic) == encoded:
            return False
        self._sent[topic] = encoded
        self._publisher.post(_notice(self._topics, topic, message, subject, self._clock, qos=1))
        return True

    def _keep(
        self, topic: str, message: messages.Message, subject: str, kind: MessageClass, *, receipt_of: str | None = None
    ) -> None:
        now = self._clock.wall()
        event_id = uuid7(now)
        payload = events.encode(message, event_id=event_id, source=self._topics.base, subject=subject, at=now)
        self._publisher.keep(
            OutboxMessage(
                id=event_id,
                kind=kind,
                topic=topic,
                payload=payload,
                content_type=events.CONTENT_TYPE,
                delete_by=wall(now + STATS_KEPT),
                receipt_of=receipt_of,
            )
        )


def _notice(
    topics: DeviceTopics,
    topic: str,
    message: messages.Message,
    subject: str,
    clock: Clock,
    *,
    qos: int,
    retain: bool = True,
) -> Outgoing:
    now = clock.wall()
    event_id = uuid7(now)
    payload = events.encode(message, event_id=event_id, source=topics.base, subject=subject, at=now)
    return Outgoing(event_id, topic, payload, qos, retain, None, events.CONTENT_TYPE)


def now_text(clock: Clock) -> str:
    """The wall time as every message writes it."""
    return rfc3339(clock.wall())


def version() -> str:
    """Of this program."""
    from importlib import metadata

    return metadata.version("lfr-edge")
