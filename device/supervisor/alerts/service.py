"""From candidates to alerts: one alert a passage, published with its probe's hash, revised under its id.

1. An alert belongs to (camera, run of its worker, passage). Further candidates of that passage revise it.
2. A candidate arrives with its probe, ciphertext to the hub's recipient (device/worker/sealed_probe.py). The alert
   states the probe's SHA-256 from its first revision; the probe itself follows on its own topic. The supervisor has no
   key to open it.
3. Where no alert is published the probe is dropped at once and counted (`probes_dropped`): after a false alert, and for
   an entry that was withdrawn.
4. Nothing is published any more of a withdrawn entry: what waits is erased, and a later candidate only counts.
5. After a false alert nothing more is published of that passage, and only the alert's id is kept. No cooldown: other
   passages are not affected.
6. Passages that raised one entry while in view together are two people: each of their alerts names the others, and at
   most one can be right. When one is judged false, the others name it no longer.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal

import msgspec

from device.config.model import Camera, DeviceConfig
from device.domain.finding import Candidate
from device.domain.time import rfc3339, wall
from device.errors import BadData, LinkBroken
from device.hub_api import alert_builder, events, messages
from device.hub_api.identifiers import uuid7
from device.hub_api.messages import Adjudication, Alert, Contradiction, moment
from device.hub_api.topics import DeviceTopics
from device.logs import NOTICE, event
from device.outbox.message import OutboxMessage
from device.outbox.retry import MessageClass
from device.ports.clock import Clock
from device.supervisor.deployment.active import ActiveDeployment
from device.supervisor.timing import ALERT_EXPIRES_S
from device.wire.link import CandidateRaised, WatchlistLoaded

_log = logging.getLogger(__name__)

WITHDRAWN = "withdrawn"
Passage = tuple[str, int, int]
"""Camera, number of the worker's run, passage."""
SignState = Literal["lit", "dark", "simulated"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a candidate comes from: its camera, the deployment, and what its worker reported of list and engine."""

    camera: Camera
    active: ActiveDeployment | None
    watchlist: WatchlistLoaded | None
    engine: messages.Engine | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What an alert states of the device. sign: as sensed now; session: the operator's session at the hub."""

    config: DeviceConfig
    boot_id: str
    sign: Callable[[], SignState]
    session: Callable[[], str | None]


@dataclass(slots=True)
class AlertService:
    """Raises and revises alerts.

    store  puts a message into the outbox
    erase  erases an alert there: alert id, reason
    """

    topics: DeviceTopics
    clock: Clock
    surroundings: Surroundings
    store: Callable[[OutboxMessage], None]
    erase: Callable[[str, str], None]
    raised: int = 0
    judged_false: int = 0
    probes_dropped: int = 0
    last_raised_ns: int | None = None
    _by_passage: dict[Passage, str] = field(default_factory=dict)
    _open: dict[str, Alert] = field(default_factory=dict)
    _false: set[str] = field(default_factory=set)
    _withdrawn: set[str] = field(default_factory=set)

    def candidate(
        self,
        passage: Passage,
        origin: Origin,
        message: CandidateRaised,
    ) -> str | None:
        """Raise or revise the alert of a passage; the id of an alert that was raised, None otherwise.

        Raises LinkBroken for a candidate that comes before its worker's watchlist.
        """
        known = self._by_passage.get(passage)
        if known in self._false:
            self._drop_probe(message, "false_alert")
            return None
        context = self._context(origin)
        alert = self._raised(passage, message, context) if known is None else self._revised(known, message, context)
        rivals = self._rivals(passage, message.candidate)
        alert = self._open[alert.alert_id] = _contradicted(alert, rivals)
        withdrawn = origin.active is not None and message.candidate.entry_ref in origin.active.withdrawn
        self._store_alert(alert, None if withdrawn else message.probe)
        self._name_in_others(alert, rivals)
        if withdrawn:
            self._drop_probe(message, WITHDRAWN)
            self._withdrawn.add(alert.alert_id)
            self.erase(alert.alert_id, WITHDRAWN)  # counted, not published (rule 4)
        return alert.alert_id if known is None else None

    def camera_of(self, alert_id: str) -> str | None:
        """The camera of an alert that this run has raised."""
        return next((passage[0] for passage, known in self._by_passage.items() if known == alert_id), None)

    def judged(self, judgement: Adjudication) -> bool:
        """Apply a judgement: a false alert is erased at once, here and in the outbox. True if it was erased."""
        if judgement.outcome != "false_alert":
            return False
        alert = self._open.pop(judgement.alert_id, None)
        if alert is not None:
            self._false.add(judgement.alert_id)
            self.judged_false += 1
            self._name_in_others(alert, [])
        self.erase(judgement.alert_id, "false_alert")
        return True

    def clear(self) -> None:
        """Drop every alert from memory: end of the deployment."""
        self._by_passage.clear()
        self._open.clear()
        self._false.clear()
        self._withdrawn.clear()

    def _raised(self, passage: Passage, message: CandidateRaised, context: alert_builder.AlertContext) -> Alert:
        """The first revision of an alert for a new passage."""
        alert_id = self._by_passage[passage] = uuid7(self.clock.wall())
        self.raised += 1
        self.last_raised_ns = int(self.clock.monotonic())
        alert = self._built(message, context, alert_id=alert_id, seq=self.raised)
        event(
            _log,
            "alert.raised",
            level=NOTICE,
            alert=alert_id,
            camera=passage[0],
            score=message.candidate.score,
            seq=self.raised,
        )
        if alert.candidate.response_code is None:
            category = message.candidate.category
            event(_log, "alert.category_unknown", level=logging.WARNING, alert=alert_id, category=category)
        return msgspec.structs.replace(alert, revision=0, state="open")

    def _revised(self, alert_id: str, message: CandidateRaised, context: alert_builder.AlertContext) -> Alert:
        """The next revision of an alert: it expires when the first one does."""
        before = self._open[alert_id]
        alert = self._built(message, context, alert_id=alert_id, seq=before.seq)
        if message.probe is None:
            alert = msgspec.structs.replace(alert, probe=before.probe)
        return msgspec.structs.replace(
            alert, revision=before.revision + 1, state="updated", expires_at=before.expires_at
        )

    def _built(
        self, message: CandidateRaised, context: alert_builder.AlertContext, *, alert_id: str, seq: int
    ) -> Alert:
        alert = alert_builder.alert_from(
            message.candidate,
            context,
            alert_id=alert_id,
            seq=seq,
            decided_at=self.clock.wall(),
            monotonic=self.clock.monotonic(),
        )
        if message.probe is None:
            return alert
        sha256 = hashlib.sha256(message.probe).hexdigest()
        return msgspec.structs.replace(alert, probe=msgspec.structs.replace(alert.probe, sha256=sha256))

    def _rivals(self, passage: Passage, candidate: Candidate) -> list[Alert]:
        """Open alerts for the same entry of the same worker's other passages (rule 6)."""
        ids = (self._by_passage.get((passage[0], passage[1], other)) for other in candidate.rivals)
        alerts = [self._open[alert_id] for alert_id in ids if alert_id in self._open]
        return [alert for alert in alerts if alert.candidate.entry_ref == candidate.entry_ref]

    def _name_in_others(self, alert: Alert, rivals: list[Alert]) -> None:
        """Publish a revision of each alert that begins or ceases to name `alert` (rule 6)."""
        named = {rival.alert_id for rival in rivals}
        for alert_id, held in list(self._open.items()):
            before = [contradiction.alert_id for contradiction in held.contradicted_by]
            if alert_id == alert.alert_id or (alert.alert_id in before) is (alert_id in named):
                continue
            others = [self._open[other] for other in before if other in self._open and other != alert.alert_id]
            revised = self._open[alert_id] = msgspec.structs.replace(
                _contradicted(held, [*others, alert] if alert_id in named else others),
                revision=held.revision + 1,
                state="updated",
            )
            if alert_id not in self._withdrawn:
                self._store_alert(revised)

    def _context(self, origin: Origin) -> alert_builder.AlertContext:
        """What an alert states besides its candidate."""
        camera, active, watchlist, engine = origin.camera, origin.active, origin.watchlist, origin.engine
        around = self.surroundings
        if active is None or watchlist is None or engine is None:
            raise LinkBroken(f"the worker of camera {camera.id} raised a candidate before its watchlist")
        deployment, now = active.deployment, self.clock.wall()
        return alert_builder.AlertContext(
            site=around.config.site,
            device_id=around.config.device,
            camera_id=camera.id,
            zone_id=camera.zone.name,
            boot_id=around.boot_id,
            deployment_id=deployment.id,
            mode=deployment.mode,
            engine=engine,
            watchlist=alert_builder.ListFacts(
                watchlist_id=watchlist.watchlist_id,
                sha256=watchlist.sha256,
                subjects=watchlist.subjects,
                predicted_far=watchlist.predicted_far,
            ),
            sign=messages.SignReading(state=around.sign(), sensed_at=rfc3339(now)),
            clock=messages.ClockReading(synced=self.clock.synchronised()),
            operator_session=around.session(),
            expires_s=ALERT_EXPIRES_S,
            delete_by=alert_builder.delete_by(wall(deployment.window.end), deployment.retention.alert_hours, now),
            response_codes={name: category.response_code for name, category in deployment.categories.items()},
        )

    def _drop_probe(self, message: CandidateRaised, reason: str) -> None:
        """Count a dropped probe (rule 3)."""
        if message.probe is not None:
            self.probes_dropped += 1
            event(_log, "probe.dropped", reason=reason, dropped=self.probes_dropped)

    def _store_alert(self, alert: Alert, probe: bytes | None = None) -> None:
        """Store a revision, with its probe if it has a new one."""
        now = self.clock.wall()
        event_id = uuid7(now)
        self.store(
            OutboxMessage(
                id=event_id,
                kind=MessageClass.ALERT,
                topic=self.topics.alert(alert.alert_id),
                payload=events.encode(
                    alert, event_id=event_id, source=self.topics.base, subject=alert.alert_id, at=now
                ),
                content_type=events.CONTENT_TYPE,
                delete_by=moment(alert.retention.delete_by),
                expires_at=max(moment(alert.expires_at), wall(now + timedelta(seconds=1))),
                alert_id=alert.alert_id,
                revision=alert.revision,
                probe=None if probe is None else self._probe_message(alert, probe),
            )
        )

    def _probe_message(self, alert: Alert, probe: bytes) -> OutboxMessage:
        return OutboxMessage(
            id=uuid7(self.clock.wall()),
            kind=MessageClass.PROBE,
            topic=self.topics.probe(alert.alert_id),
            payload=probe,
            content_type=events.PROBE_CONTENT_TYPE,
            delete_by=moment(alert.retention.delete_by),
            expires_at=moment(alert.expires_at),
            alert_id=alert.alert_id,
            revision=alert.revision,
        )


def _contradicted(alert: Alert, rivals: list[Alert]) -> Alert:
    """The alert with its rivals named (rule 6)."""
    named = [Contradiction(alert_id=rival.alert_id, camera_id=rival.camera_id) for rival in rivals]
    return msgspec.structs.replace(alert, contradicted_by=named)


def is_of(deployment: str, refs: frozenset[str]) -> Callable[[bytes], bool]:
    """A predicate over stored payloads: whether one is an alert of one of these entries of that deployment."""

    def concerns(payload: bytes) -> bool:
        try:
            data = events.decode(payload).data
        except BadData:
            return False
        return isinstance(data, Alert) and data.deployment_id == deployment and data.candidate.entry_ref in refs

    return concerns
