"""Judgements and outcomes of an alert: hub to device."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import msgspec

from device.domain.judgement import (
    AdjudicationOutcome,
    DispositionOutcome,
    EngagementOutcome,
    Factor,
    HoldKind,
    HoldReason,
)
from device.hub_api.messages.base import Message, Timestamp


class Reason(msgspec.Struct, frozen=True, kw_only=True):
    """One factor of a judgement."""

    factor: Factor
    text: Annotated[str, msgspec.Meta(max_length=200)]


class Adjudication(Message, frozen=True, kw_only=True):
    """A person's judgement of an alert. On `false_alert` every holder erases record and probe at once."""

    TYPE: ClassVar[str] = "uk.lfr.adjudication.v1"
    alert_id: str
    outcome: AdjudicationOutcome
    officer_ref: str
    at: Timestamp
    reasons: list[Reason] = msgspec.field(default_factory=list)


class Engagement(Message, frozen=True, kw_only=True):
    """The outcome of speaking to the person."""

    TYPE: ClassVar[str] = "uk.lfr.engagement.v1"
    alert_id: str
    outcome: EngagementOutcome
    officer_ref: str
    at: Timestamp


class Disposition(Message, frozen=True, kw_only=True):
    """The disposition: how it ended."""

    TYPE: ClassVar[str] = "uk.lfr.disposition.v1"
    alert_id: str
    outcome: DispositionOutcome
    officer_ref: str
    at: Timestamp


class Hold(Message, frozen=True, kw_only=True):
    """An evidence or complaint hold of one alert, or its release; the last message of an alert counts.

    owner      reference of who answers for it;  review_by: when it ends on a device unless it was renewed
    reason     of a fixed vocabulary: what was written about it stays at the hub
    """

    TYPE: ClassVar[str] = "uk.lfr.hold.v1"
    alert_id: str
    state: Literal["held", "released"]
    kind: HoldKind
    reason: HoldReason
    owner: str
    review_by: Timestamp
    officer_ref: str
    at: Timestamp
