"""From candidates to alerts: one alert a passage, revised under its id, its probe fetched, forgotten when judged false.

1. An alert belongs to (camera, life of its worker, passage). Further candidates of that passage revise it.
2. Each statement takes the next revision; the probe's hash is a statement of its own, sent when the probe is here.
3. Of an entry that was taken off the list nothing is said any more: what waits is erased, what comes late goes with it.
4. After a false alert nothing more is said of that passage, and nothing is kept of the alert but its id. No cooldown:
   other passages are untouched.
5. Passages that raised one entry while in view together are two people: each of their alerts names the others, and at
   most one can be right. When one is judged false, the others name it no longer.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

import msgspec

from device.domain.finding import Candidate
from device.domain.time import wall
from device.errors import BadData
from device.hub_api import alert_builder, events
from device.hub_api.identifiers import uuid7
from device.hub_api.messages import Adjudication, Alert, Contradiction, moment
from device.hub_api.topics import DeviceTopics
from device.logs import event
from device.outbox.retry import MessageClass
from device.outbox.store import OutboxMessage
from device.ports.clock import Clock
from device.wire.link import Probe

_log = logging.getLogger(__name__)

WITHDRAWN = "withdrawn"
Passage = tuple[str, int, int]
"""Camera, number of the worker's life, passage."""


@dataclass(slots=True)
class _Open:
    """One raised alert: its latest statement, without anything that could not be published."""

    alert: Alert


@dataclass(slots=True)
class AlertService:
    """Raises and revises alerts.

    keep   takes each message on its way (the courier)
    erase  erases an alert there: alert id, reason
    """

    topics: DeviceTopics
    clock: Clock
    keep: Callable[[OutboxMessage], None]
    erase: Callable[[str, str], None]
    raised: int = 0
    judged_false: int = 0
    last_raised_ns: int | None = None
    _by_passage: dict[Passage, str] = field(default_factory=dict)
    _open: dict[str, _Open] = field(default_factory=dict)
    _false: set[str] = field(default_factory=set)
    _withdrawn: set[str] = field(default_factory=set)

    def candidate(self, passage: Passage, candidate: Candidate, context: alert_builder.AlertContext) -> str | None:
        """Raise or revise; the alert's id if a probe is wanted, None when this passage was judged a false alert."""
        now, now_ns = self.clock.wall(), self.clock.monotonic()
        alert_id = self._by_passage.get(passage)
        if alert_id in self._false:
            return None
        if alert_id is None:
            alert_id = self._by_passage[passage] = uuid7(now)
            self.raised += 1
            self.last_raised_ns = int(self.clock.monotonic())
            alert = alert_builder.alert_from(
                candidate, context, alert_id=alert_id, seq=self.raised, decided_at=now, monotonic=now_ns
            )
            alert = msgspec.structs.replace(alert, revision=0, state="open")
            event(_log, "alert.raised", alert=alert_id, camera=passage[0], score=candidate.score, seq=self.raised)
            if alert.candidate.response_code is None:
                category = candidate.category
                event(_log, "alert.category_unknown", level=logging.WARNING, alert=alert_id, category=category)
        else:
            before = self._open[alert_id].alert
            alert = alert_builder.alert_from(
                candidate, context, alert_id=alert_id, seq=before.seq, decided_at=now, monotonic=now_ns
            )
            alert = msgspec.structs.replace(
                alert, revision=before.revision + 1, state="updated", expires_at=before.expires_at
            )
        rivals = self._rivals(passage, candidate)
        self._open[alert_id] = _Open(_contradicted(alert, rivals))
        self._keep_alert(self._open[alert_id].alert)
        self._name_in_others(alert, rivals)
        return alert_id

    def _rivals(self, passage: Passage, candidate: Candidate) -> list[Alert]:
        """Rule 5: alerts of the same worker's other passages that are still open and for the same entry."""
        ids = (self._by_passage.get((passage[0], passage[1], other)) for other in candidate.rivals)
        alerts = [self._open[alert_id].alert for alert_id in ids if alert_id in self._open]
        return [a for a in alerts if a.candidate.entry_ref == candidate.entry_ref]

    def _name_in_others(self, alert: Alert, rivals: list[Alert]) -> None:
        """Rule 5: whoever is in `rivals` names this alert, no other one does."""
        named = {rival.alert_id for rival in rivals}
        for alert_id, held in self._open.items():
            before = [c.alert_id for c in held.alert.contradicted_by]
            if alert_id == alert.alert_id or (alert.alert_id in before) is (alert_id in named):
                continue
            others = [self._open[other].alert for other in before if other in self._open and other != alert.alert_id]
            held.alert = msgspec.structs.replace(
                _contradicted(held.alert, [*others, alert] if alert_id in named else others),
                revision=held.alert.revision + 1,
                state="updated",
            )
            if alert_id not in self._withdrawn:
                self._keep_alert(held.alert)

    def probe(self, probe: Probe) -> None:
        """Send a probe's ciphertext, then the alert with its hash (rule 2); for an unknown or false alert: nothing."""
        held = self._open.get(probe.alert_id)
        if held is None:
            event(_log, "probe.refused", alert=probe.alert_id)
            return
        self.keep(
            OutboxMessage(
                id=uuid7(self.clock.wall()),
                kind=MessageClass.PROBE,
                topic=self.topics.probe(probe.alert_id),
                payload=probe.ciphertext,
                content_type=events.PROBE_CONTENT_TYPE,
                delete_by=moment(held.alert.retention.delete_by),
                expires_at=moment(held.alert.expires_at),
                alert_id=probe.alert_id,
                revision=held.alert.revision,
            )
        )
        held.alert = alert_builder.with_probe(held.alert, probe.sha256)
        self._keep_alert(held.alert)

    def judged(self, judgement: Adjudication) -> bool:
        """Obey a judgement: a false alert is erased at once, here and in the outbox. True if it was erased."""
        if judgement.outcome != "false_alert":
            return False
        held = self._open.pop(judgement.alert_id, None)
        if held is not None:
            self._false.add(judgement.alert_id)
            self.judged_false += 1
            self._name_in_others(held.alert, [])
        self.erase(judgement.alert_id, "false_alert")
        return True

    def withdrawn(self, alert_id: str) -> None:
        """This alert is of an entry that was taken off the list meanwhile (rule 3): it counts, and is not said."""
        self._withdrawn.add(alert_id)
        self.erase(alert_id, WITHDRAWN)

    def forget(self) -> None:
        """Drop every alert from memory: end of deployment."""
        self._by_passage.clear()
        self._open.clear()
        self._false.clear()
        self._withdrawn.clear()

    def _keep_alert(self, alert: Alert) -> None:
        now = self.clock.wall()
        event_id = uuid7(now)
        payload = events.encode(alert, event_id=event_id, source=self.topics.base, subject=alert.alert_id, at=now)
        self.keep(
            OutboxMessage(
                id=event_id,
                kind=MessageClass.ALERT,
                topic=self.topics.alert(alert.alert_id),
                payload=payload,
                content_type=events.CONTENT_TYPE,
                delete_by=moment(alert.retention.delete_by),
                expires_at=max(moment(alert.expires_at), wall(now + timedelta(seconds=1))),
                alert_id=alert.alert_id,
                revision=alert.revision,
            )
        )


def _contradicted(alert: Alert, rivals: list[Alert]) -> Alert:
    """The alert with its rivals named (rule 5)."""
    named = [Contradiction(alert_id=rival.alert_id, camera_id=rival.camera_id) for rival in rivals]
    return msgspec.structs.replace(alert, contradicted_by=named)


def is_of(deployment: str, refs: frozenset[str]) -> Callable[[bytes], bool]:
    """Whether a stored statement is an alert of one of these entries of that deployment."""

    def concerns(payload: bytes) -> bool:
        try:
            said = events.decode(payload).data
        except BadData:
            return False
        return isinstance(said, Alert) and said.deployment_id == deployment and said.candidate.entry_ref in refs

    return concerns
