"""What people decide about this device's alerts: obeyed, and in the audit log with the officer's reference."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from device.domain.time import rfc3339, wall
from device.hub_api import messages
from device.logs import event
from device.ports.audit import Audit
from device.ports.clock import Clock
from device.supervisor.alerts.outbox_publisher import OutboxPublisher
from device.supervisor.alerts.service import AlertService
from device.supervisor.timing import HOLD_MOST

FollowUp = messages.Engagement | messages.Disposition | messages.Hold

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Judgements:
    """Carries out what the hub's session received."""

    audit: Audit
    alerts: AlertService
    publisher: OutboxPublisher
    clock: Clock

    def judged(self, judgement: messages.Adjudication) -> None:
        """An adjudication: a false alert is erased at once."""
        event(_log, "alert.judged", alert=judgement.alert_id, outcome=judgement.outcome)
        fields = {"alert": judgement.alert_id, "outcome": judgement.outcome, "officer": judgement.officer_ref}
        self.audit.note("judged", "R13", **fields)
        self.alerts.judged(judgement)

    def followed(self, data: FollowUp) -> None:
        """What came of an alert; a later one corrects an earlier one."""
        if isinstance(data, messages.Hold):
            self._held(data)
            return
        kind = "engagement" if isinstance(data, messages.Engagement) else "disposition"
        event(_log, f"alert.{kind}", alert=data.alert_id, outcome=data.outcome)
        self.audit.note(
            kind, "R13", alert=data.alert_id, officer=data.officer_ref, since=data.at, **{kind: data.outcome}
        )

    def _held(self, data: messages.Hold) -> None:
        """Keep an alert for its hold, at most HOLD_MOST at a time, or release it."""
        held = data.state == "held"
        until = min(messages.moment(data.review_by), wall(self.clock.wall() + HOLD_MOST))
        event(_log, "alert.hold", alert=data.alert_id, state=data.state, kind=data.kind)
        self.audit.note(
            "hold" if held else "released",
            "R10",
            alert=data.alert_id,
            hold=data.kind,
            reason=data.reason,
            owner=data.owner,
            officer=data.officer_ref,
            until=rfc3339(until) if held else None,
        )
        self.publisher.hold(data.alert_id, data.kind, until if held else None)
