"""What the hub reports after a judgement: engagements and dispositions are logged; a hold keeps one alert longer."""

from __future__ import annotations

import logging

from device.domain.time import WallTime, rfc3339, wall
from device.hub_api import messages
from device.logs import event
from device.ports.audit import Audit
from device.supervisor.alerts.outbox_publisher import OutboxPublisher
from device.supervisor.timing import HOLD_MOST

_log = logging.getLogger(__name__)


def follow_up(
    data: messages.Engagement | messages.Disposition | messages.Hold,
    audit: Audit,
    publisher: OutboxPublisher,
    now: WallTime,
) -> None:
    """Log an engagement or disposition (a later one corrects an earlier one), or apply a hold."""
    if isinstance(data, messages.Hold):
        apply_hold(data, audit, publisher, now)
        return
    kind = "engagement" if isinstance(data, messages.Engagement) else "disposition"
    event(_log, f"alert.{kind}", alert=data.alert_id, outcome=data.outcome)
    audit.note(kind, "R13", alert=data.alert_id, officer=data.officer_ref, since=data.at, **{kind: data.outcome})


def apply_hold(data: messages.Hold, audit: Audit, publisher: OutboxPublisher, now: WallTime) -> None:
    """Keep an alert for its hold, at most HOLD_MOST at a time, or release it."""
    held = data.state == "held"
    until = min(messages.moment(data.review_by), wall(now + HOLD_MOST))
    event(_log, "alert.hold", alert=data.alert_id, state=data.state, kind=data.kind)
    audit.note(
        "hold" if held else "released",
        "R10",
        alert=data.alert_id,
        hold=data.kind,
        reason=data.reason,
        owner=data.owner,
        officer=data.officer_ref,
        until=rfc3339(until) if held else None,
    )
    publisher.hold(data.alert_id, data.kind, until if held else None)
