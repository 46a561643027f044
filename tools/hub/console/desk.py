"""The operator's desk: cases, pictures and devices, in memory and (cases and probes, sealed) in `desk.sqlite`.

1. A false alert is erased at once, its picture first; so is one whose engagement confirmed another person, and every
   case that a device reports as erased. A case without a judgement is then counted `not_adjudicated`.
2. A case past its `delete_by` is erased, whether or not a device reports it. When a deployment ends early, its alerts
   are kept as long after that end as they would have been after the planned one.
3. An alert counts once by its id and each of its revisions once, whatever is repeated under whatever event id; a later
   revision replaces what is shown, an older one or the same changes nothing. The same picture again changes nothing.
4. The desk is bounded: each device has an equal share of MAX_CASES. When its share is full, its oldest judged case is
   erased for a new one or, when none is judged, its oldest; page and report show how many had no judgement. A device
   cannot displace, change or erase another's cases, nor add a probe to them. So with pictures and MAX_PROBES: a full
   share loses its oldest one.
5. When a device's list has ended (its receipt, or its own state) and no other device holds one, the hub's references
   are deleted.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from device.domain.time import WallTime, rfc3339, wall
from device.errors import BadData
from device.hub_api import messages
from device.hub_api.events import Event
from device.hub_api.messages import Alert, Message
from device.hub_api.topics import Place
from device.logs import event
from tools.hub.console.case import Case, DeviceView, Picture
from tools.hub.console.confirmations import CountedOnce, receipt_key
from tools.hub.console.self_description import describe
from tools.hub.report.tallies import Tallies
from tools.hub.storage.folder import ConsoleSettings
from tools.hub.storage.published import Published, nothing_published
from tools.hub.storage.sealed_desk import SealedDesk, StoredCase, StoredProbe

MAX_CASES = 200
MAX_PROBES = 200
ORPHAN_S = 60.0
"""A probe may overtake its alert; without one it goes after this time."""
RECEIPTS_SHOWN = 8
FAULTS_SHOWN = 5

_log = logging.getLogger(__name__)


class Desk:
    """Cases, pictures and devices; no network, no clock of its own."""

    def __init__(
        self,
        settings: ConsoleSettings,
        tallies: Tallies,
        store: SealedDesk | None = None,
        published: Published = nothing_published,
    ) -> None:
        """Load the store's content."""
        self._settings = settings
        self._tallies = tallies
        self._store = store
        self._published = published
        self._ends: dict[str, WallTime] = {}
        self._seen: dict[tuple[str, str], None] = {}
        self.counted = CountedOnce(store)
        self._gone: dict[str, None] = {}
        self.cases: dict[str, Case] = {}
        self.pictures: dict[str, Picture] = {}
        self.devices: dict[str, DeviceView] = {name: DeviceView() for name in settings.devices}
        self.receipts: list[dict[str, Any]] = []
        self.left_unjudged = 0
        self._list_ends: dict[str, WallTime] = {}
        if store is not None:
            self._restore(store)

    def _restore(self, store: SealedDesk) -> None:
        """The cases that the hub held when it last ran; pictures come with `stored_probes`."""
        self._gone = dict.fromkeys(store.gone())
        for kept in store.cases():
            self.cases[kept.alert.alert_id] = Case(
                kept.alert,
                kept.device,
                messages.moment(kept.arrived),
                messages.moment(kept.delete_by),
                kept.outcome,
                kept.engagement,
                kept.disposition,
            )
        if self.cases:
            event(_log, "hub.desk_restored", cases=len(self.cases))

    def restore_pictures(self, opened: Callable[[bytes], bytes], now: WallTime) -> None:
        """Open the stored probes; one that does not open any more (its deployment has ended) is deleted."""
        for probe in self._store.probes() if self._store is not None else ():
            try:
                self.pictures[probe.alert_id] = Picture(probe.device, opened(probe.ciphertext), 1, now)
            except BadData as fault:
                event(_log, "hub.probe_not_restored", level=logging.WARNING, reason=str(fault))
                self._drop_picture(probe.alert_id)

    def commit(self) -> None:
        """Write every change with the counts; after a disk that refused, everything anew."""
        if self._store is None:
            return
        if self._store.problem:
            self.counted.put_again()
            for case in self.cases.values():
                self._keep(case)
            for alert_id in self._store.ids() - set(self.cases) - set(self.pictures):
                self._store.erase(alert_id)
        content = self._tallies.unkept()
        if content is not None:
            self._store.put_book(content)
        if self._store.commit():
            self.counted.committed()
        else:
            self._tallies.not_kept()

    def try_room(self) -> str:
        """Why a judgement could not be kept now; empty when it could."""
        if self._store is None:
            return ""
        self.commit()
        return self._store.try_room()

    @property
    def store_problem(self) -> str:
        """Why the desk is not stored on the disk; empty while it is."""
        return "" if self._store is None else self._store.problem

    def _keep(self, case: Case) -> None:
        if self._store is None:
            return
        self._store.put_case(
            StoredCase(
                alert=case.alert,
                device=case.device,
                arrived=rfc3339(case.arrived),
                delete_by=rfc3339(case.delete_by),
                outcome=case.outcome,
                engagement=case.engagement,
                disposition=case.disposition,
            )
        )

    def knows(self, alert_id: str) -> bool:
        """Whether an alert is or was on the desk."""
        return alert_id in self.cases or alert_id in self._gone

    def expect(self, device: str) -> None:
        """A device that was added to the site: on the page before it reports."""
        self.devices.setdefault(device, DeviceView())

    def fault(self, device: str, problem: str) -> None:
        """Record a refused message of a device: shown until the hub restarts, the latest FAULTS_SHOWN of each."""
        faults = self.devices.setdefault(device, DeviceView()).faults
        faults[problem] = faults.pop(problem, 0) + 1
        while len(faults) > FAULTS_SHOWN:
            del faults[next(iter(faults))]

    def take(self, place: Place, event: Event[Message], now: WallTime, *, retained: bool = False) -> None:
        """Process one message of a device; repetitions (same source and id) change nothing.

        retained: the broker had kept it from before, so it does not show that the device is alive. Raises BadData for
        another's case.
        """
        if (event.source, event.id) in self._seen:
            return
        self._seen[(event.source, event.id)] = None
        if len(self._seen) > 10_000:
            del self._seen[next(iter(self._seen))]
        view = self.devices.setdefault(place.device, DeviceView())
        data = event.data
        if isinstance(data, Alert | messages.Erasure):
            self._require_own(place.device, data.alert_id)
        if not retained:
            view.heard_at = now
        if isinstance(data, Alert):
            self._alert(place.device, data, now)
        elif isinstance(data, messages.Erasure):
            if self.counted.first_time(event.source, receipt_key(event.id, data)):
                self._erasure(place.device, data)
        elif isinstance(data, messages.CommandReply):
            pass  # the session's
        elif isinstance(data, messages.CameraStatus):
            view.cameras[data.camera_id] = data
        else:
            ended = describe(view, self._tallies, place.device, data, event.time)
            if ended is not None:
                self._list_end(place.device, ended)

    def take_probe(
        self, device: str, alert_id: str, jpeg: bytes, now: WallTime, ciphertext: bytes | None = None
    ) -> None:
        """Process an opened probe; one of an alert that is gone is dropped, the same one again changes nothing."""
        self._require_own(device, alert_id)
        before = self.pictures.get(alert_id)
        if alert_id in self._gone or (before is not None and before.jpeg == jpeg):
            return
        self.pictures.pop(alert_id, None)
        theirs = [a for a, p in self.pictures.items() if p.device == device]
        for oldest in theirs[: max(0, len(theirs) + 1 - self._share(MAX_PROBES))]:
            self._drop_picture(oldest)
        self.pictures[alert_id] = Picture(device, jpeg, before.version + 1 if before else 1, now)
        if self._store is not None and ciphertext is not None:
            self._store.put_probe(StoredProbe(alert_id, device, ciphertext))
        case = self.cases.get(alert_id)
        if case is not None:
            self._tallies.of(case.alert.deployment_id).probes_received += 1

    def _require_own(self, device: str, alert_id: str | None) -> None:
        """Raise BadData when the alert is known to be of another device (rule 4)."""
        known = None if alert_id is None else (self.cases.get(alert_id) or self.pictures.get(alert_id))
        if known is not None and known.device != device:
            raise BadData(f"a message about an alert of {known.device}")

    def judge(self, alert_id: str, outcome: str) -> Case | None:
        """Apply a judgement: a false alert is erased at once (rule 1). None when the case is gone."""
        case = self.cases.get(alert_id)
        if case is None:
            return None
        self._tallies.judged(case.alert.deployment_id, outcome, case.outcome)
        case.outcome = outcome
        if outcome == "false_alert":
            self.erase(alert_id)
        else:
            self._keep(case)
        return case

    def follow(self, alert_id: str, kind: str, outcome: str) -> Case | None:
        """Record an outcome: kind is `engagement` or `disposition`. Confirmed another person is a false alert."""
        case = self.cases.get(alert_id)
        if case is None:
            return None
        before = case.engagement if kind == "engagement" else case.disposition
        self._tallies.followed(case.alert.deployment_id, f"{kind}s", outcome, before)
        if kind == "engagement":
            case.engagement = outcome
        else:
            case.disposition = outcome
        if outcome == "confirmed_false":
            if case.disposition == "arrest":
                self._tallies.followed(case.alert.deployment_id, "dispositions", "arrest_unrelated", "arrest")
            return self.judge(alert_id, "false_alert")
        self._keep(case)
        return case

    def erase(self, alert_id: str) -> bool:
        """Erase a case and its picture; whether there was one."""
        self.pictures.pop(alert_id, None)
        if self._store is not None:
            self._store.erase(alert_id)
        self._gone[alert_id] = None
        if len(self._gone) > 10_000:
            del self._gone[next(iter(self._gone))]
        return self.cases.pop(alert_id, None) is not None

    def clear_memory(self) -> int:
        """Drop every case and picture from memory: the program ends. What is sealed on the disk stays."""
        count = len(self.cases)
        self.cases.clear()
        self.pictures.clear()
        return count

    def _leave_unjudged(self, alert_id: str) -> None:
        """Erase a case without a judgement, and count it."""
        case = self.cases.get(alert_id)
        if case is not None and case.outcome is None:
            self._tallies.judged(case.alert.deployment_id, "not_adjudicated", None)
        self.erase(alert_id)

    def _drop_picture(self, alert_id: str) -> None:
        self.pictures.pop(alert_id, None)
        if self._store is not None:
            self._store.erase_probe(alert_id)

    def deployment_ended(self, deployment_id: str, at: WallTime) -> bool:
        """The hub ended a deployment: its cases without a judgement are erased; whether anything changed.

        The judged ones stay as long after this end as the policy keeps them (rule 2).
        """
        theirs = [a for a, c in self.cases.items() if c.alert.deployment_id == deployment_id]
        changed = False
        for alert_id in theirs:
            if self.cases[alert_id].outcome is None:
                self._leave_unjudged(alert_id)
                self._receipt("alert", "end_of_deployment", 1, alert_id)
                changed = True
            else:
                changed = self._shorten(self.cases[alert_id], at) or changed
        return changed

    def _shorten(self, case: Case, end: WallTime) -> bool:
        """Move a case's `delete_by` to as long after this end as it was after the planned one; whether it moved."""
        known = self._published().get(case.alert.deployment_id)
        kept = timedelta(hours=24) if known is None else case.delete_by_as_sent - known.planned_end
        wanted = end + max(kept, timedelta(0))
        if wanted >= case.delete_by:
            return False
        case.delete_by = wall(wanted)
        self._keep(case)
        return True

    def tick(self, now: WallTime) -> bool:
        """Erase cases past their time (rule 2) and those of a deployment that the hub ended; whether there were any."""
        ended = [
            self.deployment_ended(known.id, known.ended_at)
            for known in self._published().values()
            if known.ended_at is not None
        ]
        overdue = [a for a, c in self.cases.items() if c.delete_by <= now]
        orphans = [
            a for a, p in self.pictures.items() if a not in self.cases and now - p.arrived > timedelta(seconds=ORPHAN_S)
        ]
        for alert_id in (*overdue, *orphans):
            self._leave_unjudged(alert_id)
        for alert_id in overdue:
            self._receipt("alert", "retention", 1, alert_id)
        return bool(overdue or orphans or any(ended))

    def _alert(self, device: str, alert: Alert, now: WallTime) -> None:
        """Process a revision of an alert (rule 3)."""
        case = self.cases.get(alert.alert_id)
        if alert.alert_id in self._gone or (case is not None and alert.revision <= case.alert.revision):
            return
        self._tallies.is_on(device, alert.deployment_id, alert.mode, alert.decided_at)
        self._tallies.alerted(alert, first=case is None)
        if case is not None:
            case.alert = alert
            self._keep(case)
            return
        theirs = sum(1 for case in self.cases.values() if case.device == device)
        if theirs >= self._share(MAX_CASES):
            self._make_room(device)
        case = self.cases[alert.alert_id] = Case(alert, device, now, messages.moment(alert.retention.delete_by))
        self._keep(case)
        end = self._ends.get(device)
        if end is not None and messages.moment(alert.decided_at) <= end:
            self._shorten(case, end)
        if alert.alert_id in self.pictures:
            self._tallies.of(alert.deployment_id).probes_received += 1

    def _share(self, most: int) -> int:
        """Of what the desk holds at most, a device's part (rule 4)."""
        return max(1, most // max(1, len(self.devices)))

    def _make_room(self, device: str) -> None:
        """Erase this device's oldest judged case, else its oldest, and count it (rule 4)."""
        theirs = {a: c for a, c in self.cases.items() if c.device == device}
        judged = next((a for a, c in theirs.items() if c.outcome is not None), None)
        going = judged or next(iter(theirs))
        if judged is None:
            self.left_unjudged += 1
            self._tallies.crowded_out(self.cases[going].alert.deployment_id)
            event(_log, "hub.desk_full", level=logging.WARNING, left_unjudged=self.left_unjudged)
        self._leave_unjudged(going)

    def list_ended(self, now: WallTime) -> tuple[str, WallTime] | None:
        """The device whose list ended last, and when, once no device holds a list (rule 5); None until then."""
        others = (view for name, view in self.devices.items() if name not in self._list_ends)
        holding = (view.holds_a_list(now) for view in others)
        if not self._list_ends or any(holding):
            return None
        return max(self._list_ends.items(), key=lambda end: end[1])

    def references_erased(self, device: str, photos: int) -> None:
        """The hub's reference photos of the ended lists are deleted: record a receipt of the hub's own."""
        self._list_ends.clear()
        if photos:
            self._tallies.forgotten(device, photos)
            self._receipt("reference", "end_of_deployment", photos, None)

    def _erasure(self, device: str, receipt: messages.Erasure) -> None:
        """Erase what a device erased: one alert, one picture, or (its end) everything that it ever sent."""
        case = None if receipt.alert_id is None else self.cases.get(receipt.alert_id)
        self._tallies.erased(device, receipt, None if case is None else case.alert.deployment_id)
        if receipt.what == "watchlist" and receipt.reason == "end_of_deployment":
            self._list_end(device, messages.moment(receipt.at))
        if receipt.alert_id is not None and receipt.what in ("alert", "outbox"):
            self._leave_unjudged(receipt.alert_id)
        elif receipt.alert_id is not None and receipt.what == "probe":
            self._drop_picture(receipt.alert_id)
        elif receipt.alert_id is None and receipt.what in ("alert", "outbox") and receipt.reason == "end_of_deployment":
            theirs = [a for a, c in self.cases.items() if c.device == device]
            theirs += [a for a, p in self.pictures.items() if p.device == device and a not in self.cases]
            for alert_id in theirs:
                self._leave_unjudged(alert_id)
        self._receipt(receipt.what, receipt.reason, receipt.count, receipt.alert_id)

    def _list_end(self, device: str, at: WallTime) -> None:
        """A device's list ended: its earlier alerts are kept from that end on (rules 2 and 5)."""
        self._list_ends[device] = self._ends[device] = at
        for case in tuple(self.cases.values()):
            if case.device == device and messages.moment(case.alert.decided_at) <= at:
                self._shorten(case, at)

    def _receipt(self, what: str, reason: str, count: int, alert_id: str | None) -> None:
        self.receipts.append({"what": what, "reason": reason, "count": count, "alert": (alert_id or "")[-6:]})
        del self.receipts[:-RECEIPTS_SHOWN]
