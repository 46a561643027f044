"""Holding a case at the hub and on its device: place, renew, release; what a false alert means for a hold."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import msgspec

from device.domain.judgement import HoldKind, HoldReason
from device.domain.time import WallTime, rfc3339, wall
from device.errors import BadData, RefusedByCondition
from device.hub_api import messages
from device.hub_api.messages import moment
from device.hub_api.topics import level
from device.logs import event
from tools.hub.console.desk import Desk
from tools.hub.console.session import HubSession
from tools.hub.report.tallies import Tallies
from tools.hub.storage.holds import Holds, HoldTerms

REVIEW_MOST = timedelta(days=366)
_log = logging.getLogger(__name__)


class HoldRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What somebody asks for. review_by: RFC 3339; complaint: its recorded reference, for a complaint hold."""

    kind: HoldKind
    reason: HoldReason
    owner: str
    review_by: messages.Timestamp
    complaint: str | None = None


class Holding:
    """The holds of a running hub; on the console's loop."""

    def __init__(
        self, holds: Holds, desk: Desk, session: HubSession, tallies: Tallies, now: Callable[[], WallTime]
    ) -> None:
        self._holds = holds
        self._desk = desk
        self._session = session
        self._tallies = tallies
        self._now = now

    def hold(self, alert_id: str, asked: HoldRequest, officer_ref: str) -> HoldTerms:
        """Hold a case that is on the desk, or renew a hold.

        Raises BadData for terms that make no sense, RefusedByCondition for a case that is not here (an incorrect alert
        is erased at once, so it never is) or a complaint that is not recorded.
        """
        now = self._now()
        if not now < moment(asked.review_by) <= wall(now + REVIEW_MOST):
            raise BadData(f"review date {asked.review_by}: it must lie ahead, by at most {REVIEW_MOST.days} days")
        level(asked.owner, "owner")
        if (asked.kind == "complaint") is not (asked.complaint is not None):
            raise BadData("a complaint hold names its complaint, and an evidence hold none")
        known, case = self._holds.get(alert_id), self._desk.cases.get(alert_id)
        if known is None and case is None:
            raise RefusedByCondition("hold", "this case is no longer here; an incorrect alert is erased at once")
        if known is not None and known.kind != asked.kind:
            raise RefusedByCondition("hold", f"it is under a hold of kind {known.kind}: release that first")
        device = case.device if case is not None else known.device if known is not None else ""
        deployment = case.alert.deployment_id if case is not None else known.deployment_id if known is not None else ""
        terms = HoldTerms(
            alert_id=alert_id,
            device=device,
            deployment_id=deployment,
            held_by=officer_ref,
            held_at=rfc3339(now),
            **msgspec.structs.asdict(asked),
        )
        picture = self._desk.pictures.get(alert_id)
        if case is not None and (known is None or picture is not None or not self._holds.opens(alert_id)):
            self._holds.place(terms, case.alert, None if picture is None else picture.jpeg)
        else:
            self._holds.renew(terms)
        if known is None:
            self._tallies.held(deployment, asked.kind)
        event(_log, "hub.hold", alert=alert_id, kind=terms.kind, owner=terms.owner, review_by=terms.review_by)
        self._tell(terms, "held", officer_ref)
        return terms

    def release(self, alert_id: str, officer_ref: str) -> HoldTerms:
        """Release a hold into deletion, here and on the device. RefusedByCondition when the case is not held."""
        terms = self._holds.get(alert_id)
        if terms is None:
            raise RefusedByCondition("hold", f"{alert_id} is not held")
        self._holds.release(alert_id)
        self._tallies.held(terms.deployment_id, "released")
        event(_log, "hub.hold_released", alert=alert_id, kind=terms.kind)
        self._tell(terms, "released", officer_ref)
        return terms

    def judged_false(self, alert_id: str, officer_ref: str) -> None:
        """An incorrect alert: what was held as evidence goes with it; what is held for a complaint stays."""
        terms = self._holds.get(alert_id)
        if terms is not None and terms.kind == "evidence":
            self.release(alert_id, officer_ref)

    def complaint(self, reference: str, officer_ref: str) -> None:
        """Record a complaint."""
        self._holds.record_complaint(reference, officer_ref, self._now())

    def shown(self) -> list[dict[str, Any]]:
        """Every hold, with whether its review is due."""
        now = self._now()
        return [{**msgspec.structs.asdict(terms), "overdue": terms.overdue(now)} for terms in self._holds.all()]

    def _tell(self, terms: HoldTerms, state: Any, officer_ref: str) -> None:
        self._session.hold(
            terms.device,
            messages.Hold(
                mode=None,
                alert_id=terms.alert_id,
                state=state,
                kind=terms.kind,
                reason=terms.reason,
                owner=terms.owner,
                review_by=terms.review_by,
                officer_ref=officer_ref,
                at=rfc3339(self._now()),
            ),
        )
