"""The operator's desk: what the hub knows at this moment, in memory only.

1. A false alert disappears at once, picture first; so does everything that a device reports as erased.
2. What is past its `delete_by` disappears by itself, whether or not a device ever says so.
3. An alert counts once by its id and each of its revisions once, whatever is repeated under whatever event id; a later
   revision replaces what is shown, an older one or the same changes nothing. The same picture again changes nothing.
4. The desk is bounded: with MAX_CASES on it, the oldest judged case goes before a new one comes. When none is judged,
   the oldest goes unjudged, and the page and the report say how many did.
5. When a device's list has ended (its receipt, or its own word) and no other device holds one, the hub's references go.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from device.domain.time import WallTime
from device.hub_api import messages
from device.hub_api.events import Event
from device.hub_api.messages import Alert, Message
from device.hub_api.topics import Place
from device.logs import event
from tools.hub.report.tallies import Tallies
from tools.hub.storage.folder import ConsoleSettings

MAX_CASES = 200
MAX_PROBES = 200
ORPHAN_S = 60.0
"""A probe may overtake its alert; without one it goes after this time."""
RECEIPTS_SHOWN = 8

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Case:
    """One alert on the desk."""

    alert: Alert
    device: str
    arrived: WallTime
    outcome: str | None = None
    engagement: str | None = None
    disposition: str | None = None


@dataclass(slots=True)
class Picture:
    """One opened probe, in memory. `version` lets the page see that it changed."""

    device: str
    jpeg: bytes
    version: int
    arrived: WallTime


@dataclass(slots=True)
class DeviceView:
    """The last of everything that one device said of itself."""

    status: messages.Status | None = None
    birth: messages.Birth | None = None
    state: messages.DeviceState | None = None
    health: messages.Health | None = None
    watchlist: messages.WatchlistState | None = None
    stats: messages.Stats | None = None
    cameras: dict[str, messages.CameraStatus] = field(default_factory=dict)


class Desk:
    """Cases, pictures and devices; no network, no disk, no clock of its own."""

    def __init__(self, settings: ConsoleSettings, tallies: Tallies) -> None:
        self._settings = settings
        self._tallies = tallies
        self._seen: dict[tuple[str, str], None] = {}
        self._gone: dict[str, None] = {}
        self.cases: dict[str, Case] = {}
        self.pictures: dict[str, Picture] = {}
        self.devices: dict[str, DeviceView] = {name: DeviceView() for name in settings.devices}
        self.receipts: list[dict[str, Any]] = []
        self.left_unjudged = 0
        self._list_ends: dict[str, WallTime] = {}

    def take(self, place: Place, event: Event[Message], now: WallTime) -> None:
        """Take in one message of a device; repetitions (same source and id) change nothing."""
        if (event.source, event.id) in self._seen:
            return
        self._seen[(event.source, event.id)] = None
        if len(self._seen) > 10_000:
            del self._seen[next(iter(self._seen))]
        view = self.devices.setdefault(place.device, DeviceView())
        data = event.data
        if isinstance(data, Alert):
            self._alert(place.device, data, now)
        elif isinstance(data, messages.Erasure):
            self._erasure(place.device, data)
        elif isinstance(data, messages.CameraStatus):
            view.cameras[data.camera_id] = data
        else:
            self._self_description(place.device, view, data, event.time)

    def take_probe(self, device: str, alert_id: str, jpeg: bytes, now: WallTime) -> None:
        """Take in an opened probe; one of an alert that is gone is dropped, the same one again changes nothing."""
        before = self.pictures.get(alert_id)
        if alert_id in self._gone or (before is not None and before.jpeg == jpeg):
            return
        self.pictures.pop(alert_id, None)
        while len(self.pictures) >= MAX_PROBES:
            del self.pictures[next(iter(self.pictures))]
        self.pictures[alert_id] = Picture(device, jpeg, before.version + 1 if before else 1, now)
        case = self.cases.get(alert_id)
        if case is not None:
            self._tallies.of(case.alert.deployment_id).probes_received += 1

    def judge(self, alert_id: str, outcome: str) -> Case | None:
        """A person judged: a false alert is wiped here and now (rule 1). None when the case is gone."""
        case = self.cases.get(alert_id)
        if case is None:
            return None
        self._tallies.judged(case.alert.deployment_id, outcome, case.outcome)
        case.outcome = outcome
        if outcome == "false_alert":
            self.wipe(alert_id)
        return case

    def follow(self, alert_id: str, kind: str, outcome: str) -> Case | None:
        """What came of it: kind is `engagement` or `disposition`."""
        case = self.cases.get(alert_id)
        if case is None:
            return None
        before = case.engagement if kind == "engagement" else case.disposition
        self._tallies.followed(case.alert.deployment_id, f"{kind}s", outcome, before)
        if kind == "engagement":
            case.engagement = outcome
        else:
            case.disposition = outcome
        return case

    def wipe(self, alert_id: str) -> bool:
        """Forget a case and its picture; whether there was one."""
        self.pictures.pop(alert_id, None)
        self._gone[alert_id] = None
        if len(self._gone) > 10_000:
            del self._gone[next(iter(self._gone))]
        return self.cases.pop(alert_id, None) is not None

    def wipe_all(self) -> int:
        """Forget every case and picture: the end."""
        count = len(self.cases)
        for alert_id in tuple(self.cases):
            self.wipe(alert_id)
        self.pictures.clear()
        return count

    def tick(self, now: WallTime) -> bool:
        """Wipe what is past its time (rule 2); whether anything went."""
        overdue = [a for a, c in self.cases.items() if messages.moment(c.alert.retention.delete_by) <= now]
        orphans = [
            a for a, p in self.pictures.items() if a not in self.cases and now - p.arrived > timedelta(seconds=ORPHAN_S)
        ]
        for alert_id in (*overdue, *orphans):
            self.wipe(alert_id)
        for alert_id in overdue:
            self._receipt("alert", "retention", 1, alert_id)
        return bool(overdue or orphans)

    def _alert(self, device: str, alert: Alert, now: WallTime) -> None:
        """Take in a statement about an alert (rule 3)."""
        case = self.cases.get(alert.alert_id)
        if alert.alert_id in self._gone or (case is not None and alert.revision <= case.alert.revision):
            return
        self._tallies.is_on(device, alert.deployment_id, alert.mode, alert.decided_at)
        self._tallies.alerted(alert, first=case is None)
        if case is not None:
            case.alert = alert
            return
        if len(self.cases) >= MAX_CASES:
            self._make_room()
        self.cases[alert.alert_id] = Case(alert, device, now)
        if alert.alert_id in self.pictures:
            self._tallies.of(alert.deployment_id).probes_received += 1

    def _make_room(self) -> None:
        """The oldest judged case goes, else the oldest of all, and that is counted (rule 4)."""
        judged = next((a for a, c in self.cases.items() if c.outcome is not None), None)
        going = judged or next(iter(self.cases))
        if judged is None:
            self.left_unjudged += 1
            self._tallies.crowded_out(self.cases[going].alert.deployment_id)
            event(_log, "hub.desk_full", level=logging.WARNING, left_unjudged=self.left_unjudged)
        self.wipe(going)

    def list_ended(self, now: WallTime) -> tuple[str, WallTime] | None:
        """Which device's list ended last, and when, once nobody holds a list any more (rule 5); None until then."""
        holding = (name for name, view in self.devices.items() if name not in self._list_ends and _holds(view, now))
        if not self._list_ends or any(holding):
            return None
        return max(self._list_ends.items(), key=lambda end: end[1])

    def references_forgotten(self, device: str, photos: int) -> None:
        """The hub's reference photos of the ended lists are deleted: a receipt of the hub's own."""
        self._list_ends.clear()
        if photos:
            self._tallies.forgotten(device, photos)
            self._receipt("reference", "end_of_deployment", photos, None)

    def _erasure(self, device: str, receipt: messages.Erasure) -> None:
        """Wipe what a device erased: one alert, one picture, or (its end) everything that it ever sent."""
        self._tallies.erased(device, receipt)
        if receipt.what == "watchlist" and receipt.reason == "end_of_deployment":
            self._list_ends[device] = messages.moment(receipt.at)
        if receipt.alert_id is not None and receipt.what in ("alert", "outbox"):
            self.wipe(receipt.alert_id)
        elif receipt.alert_id is not None and receipt.what == "probe":
            self.pictures.pop(receipt.alert_id, None)
        elif receipt.alert_id is None and receipt.what in ("alert", "outbox") and receipt.reason == "end_of_deployment":
            theirs = [a for a, c in self.cases.items() if c.device == device]
            theirs += [a for a, p in self.pictures.items() if p.device == device and a not in self.cases]
            for alert_id in theirs:
                self.wipe(alert_id)
        self._receipt(receipt.what, receipt.reason, receipt.count, receipt.alert_id)

    def _receipt(self, what: str, reason: str, count: int, alert_id: str | None) -> None:
        self.receipts.append({"what": what, "reason": reason, "count": count, "alert": (alert_id or "")[-6:]})
        del self.receipts[:-RECEIPTS_SHOWN]

    def _self_description(self, device: str, view: DeviceView, data: Message, at: str) -> None:
        if isinstance(data, messages.Status):
            view.status = data
        elif isinstance(data, messages.Birth):
            view.birth = data
            self._tallies.born(device, data)
        elif isinstance(data, messages.DeviceState):
            view.state = data
            self._tallies.is_on(device, data.deployment_id, data.mode, at)
        elif isinstance(data, messages.Health):
            view.health = data
        elif isinstance(data, messages.WatchlistState):
            view.watchlist = data
            if data.erased_at is not None:
                self._list_ends[device] = messages.moment(data.erased_at)
            self._tallies.listed(device, data)
        elif isinstance(data, messages.AuditHead):
            self._tallies.headed(device, data)
        elif isinstance(data, messages.Stats):
            if view.stats is not None and view.stats.boot_id == data.boot_id and view.stats.at > data.at:
                return
            view.stats = data
            self._tallies.is_on(device, data.deployment_id, data.mode, data.at)
            self._tallies.counted(device, data)


def _holds(view: DeviceView, now: WallTime) -> bool:
    """Whether a device has a list, as far as the hub knows: loaded, not erased, and not past its own time."""
    state = view.watchlist
    if state is None or state.watchlist_id is None or state.erased_at is not None:
        return False
    return state.valid_to is None or now <= messages.moment(state.valid_to)
