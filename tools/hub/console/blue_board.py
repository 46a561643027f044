"""The blue list at the hub: recognitions and passes come in, the live rate goes to the page. None of it is a case.

1. A recognition or a pass counts when it is live, in this hub's mode, and of a deployment that this hub published to
   that device, with that volunteer, whose consent holds. What does not fit is a fault of the device (BadData).
2. A card is shown for SHOWN_S, in memory only. It holds a reference, a camera and a time; no picture exists.
3. A volunteer who was taken off is gone from cards and from what waits within a second.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import msgspec

from device.domain.finding import Mode
from device.domain.time import WallTime, rfc3339
from device.errors import BadData, RefusedByCondition
from device.hub_api.messages import VolunteerPass, VolunteerSeen, moment
from tools.hub.report.blue_tally import BlueTally
from tools.hub.report.evidence_band import evidence_band
from tools.hub.report.tallies import Tallies
from tools.hub.report.true_recognition import MINIMUM_CELL, WINDOW_S, figures, forget, logged, recognised, settle
from tools.hub.storage.published import Published, PublishedDeployment

SHOWN_S = 20.0
LATE = timedelta(hours=24)
AHEAD = timedelta(minutes=5)
CARDS_MOST = 2  # STOP stays in view below them; more are counted all the same
SEEN_MOST = 2_000
WAITING_MOST = 500  # passes and recognitions of the last half minute


@dataclass(frozen=True, slots=True)
class Card:
    """One recognition on the page."""

    id: str
    ref: str
    device: str
    camera: str
    at: WallTime


class BlueBoard:
    """On the console's loop. group_of: a volunteer's group, as the operator wrote it."""

    def __init__(
        self, mode: Mode, published: Published, tallies: Tallies, group_of: Callable[[str], str | None]
    ) -> None:
        self._mode = mode
        self._published = published
        self._tallies = tallies
        self._group_of = group_of
        self._cards: list[Card] = []
        self._seen: dict[str, None] = {}

    def take(self, device: str, event_id: str, data: VolunteerSeen | VolunteerPass, now: WallTime) -> None:
        """One message of a device; the same one again changes nothing. BadData: rule 1."""
        if f"{device} {event_id}" in self._seen:
            return
        at, deployment = moment(data.at), self._deployment(device, data.deployment_id)
        if data.mode is not self._mode or not now - LATE <= at <= now + AHEAD:
            raise BadData(f"the blue list: a message of mode {data.mode} from {data.at} does not count")
        tally = self._tallies.of(deployment.id).blue_list
        if len(tally.waiting_passes) + len(tally.waiting_seen) >= WAITING_MOST:
            raise BadData("the blue list: more messages than volunteers can pass")
        self._seen[f"{device} {event_id}"] = None
        while len(self._seen) > SEEN_MOST:
            del self._seen[next(iter(self._seen))]
        if isinstance(data, VolunteerPass):
            logged(tally, at, None)
            return
        until = deployment.volunteers.get(data.entry_ref)
        if until is None or until <= now:
            raise BadData("the blue list: a recognition of somebody who is not on it")
        recognised(tally, at, data.entry_ref)
        self._cards = [*self._cards, Card(event_id, data.entry_ref, device, data.camera_id, at)][-CARDS_MOST:]

    def log_pass(self, now: WallTime, ref: str | None = None) -> None:
        """Somebody logged a pass at the hub. RefusedByCondition: no blue list runs, or nobody of that reference."""
        running = self._running(now)
        if not running:
            raise RefusedByCondition("blue list", "no deployment with a blue list runs at this hub")
        fits = [each for each in running if ref is None or ref in each.volunteers]
        if not fits:
            raise RefusedByCondition("blue list", f"volunteer {ref!r} is not on the blue list")
        logged(self._tallies.of(fits[-1].id).blue_list, now, ref)

    def tick(self, now: WallTime) -> bool:
        """Once a second: count what is due, drop what is over; whether the page changes."""
        before = len(self._cards)
        oldest = now - timedelta(seconds=SHOWN_S)
        consenting = {
            ref for each in self._published().values() for ref, until in each.volunteers.items() if until > now
        }
        self._cards = [card for card in self._cards if card.at > oldest and card.ref in consenting]
        changed = before != len(self._cards)
        for name, deployment in self._tallies.book.deployments.items():
            tally = deployment.blue_list
            if not tally.waiting_passes and not tally.waiting_seen:
                continue
            refs = {each.ref for each in (*tally.waiting_passes, *tally.waiting_seen) if each.ref is not None}
            gone = frozenset(refs - consenting)
            forget(tally, gone)
            if settle(tally, now, self._group_of) or gone:
                self._tallies.of(name)
                changed = True
        return changed

    def shown(self, now: WallTime, *, cards: bool) -> dict[str, Any] | None:
        """What the page shows; None without a running blue list. cards: whether this session may see volunteers."""
        running = self._running(now)
        if not running:
            return None
        deployment = running[-1]
        band = band_of(deployment)
        known = self._tallies.book.deployments.get(deployment.id)
        tally = BlueTally() if known is None else known.blue_list
        found = figures(tally, band)
        return {
            "volunteers": sorted(ref for ref, until in deployment.volunteers.items() if until > now) if cards else [],
            "figures": msgspec.to_builtins(found),
            "waiting": len(tally.waiting_passes),
            "minimum_cell": MINIMUM_CELL,
            "window_s": WINDOW_S,
            "cards": [
                {"id": c.id, "ref": c.ref, "device": c.device, "camera": c.camera, "at": rfc3339(c.at)}
                for c in reversed(self._cards)
            ]
            if cards
            else [],
        }

    def _running(self, now: WallTime) -> list[PublishedDeployment]:
        known = self._published().values()
        return [each for each in known if each.volunteers and each.ended_at is None and each.planned_end > now]

    def _deployment(self, device: str, deployment_id: str) -> PublishedDeployment:
        found = self._published().get(deployment_id)
        if found is None or device not in found.devices or not found.volunteers or found.ended_at is not None:
            raise BadData(f"the blue list: {deployment_id} has none for {device}")
        return found


def band_of(deployment: PublishedDeployment) -> tuple[float, float] | None:
    """Where the signed evidence expects the rate for this deployment's watchlist."""
    return evidence_band(deployment.recognisers, deployment.subjects)
