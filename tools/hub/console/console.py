"""The console: a page for the operator, on the loopback only, pictures from memory only. Its requests: `pages.py`.

An operator is present while the page of somebody who may judge is open, that is, while its event stream is; absent
after the stream has ended, with its session at the latest, and the grace for a reload is over.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from device.domain.finding import Mode
from device.domain.judgement import Factor
from device.errors import ConfigError, LfrError, RefusedByCondition, Unavailable
from device.hub_api.identifiers import uuid7
from device.hub_api.messages import Operator
from device.logs import event
from tools.hub.console.access import csrf_token, wall_now
from tools.hub.console.blue_board import BlueBoard
from tools.hub.console.desk import Desk
from tools.hub.console.holding import Holding
from tools.hub.console.login import JUDGES, NOBODY, Event, Session, Sessions, acting
from tools.hub.console.session import HubSession
from tools.hub.console.view import snapshot
from tools.hub.report.blue_log import BlueLog
from tools.hub.report.tallies import Tallies
from tools.hub.storage.folder import ConsoleSettings, HubFolder
from tools.hub.storage.holds import Holds
from tools.hub.storage.hub_log import HubLog
from tools.hub.storage.users import Users

BEAT_S = 5.0  # an event stream sends at least this often, so that the browser does not close it
AT_MOST_EVERY_S = 0.15
HOLDS_OF_FALSE = "holds of false alerts"
GRACE_S = 3.0  # a reload of the page is not an absence
_log = logging.getLogger(__name__)


@dataclass
class Console:
    """One running console. Everything happens on its event loop."""

    hub: HubFolder
    settings: ConsoleSettings
    desk: Desk
    tallies: Tallies
    session: HubSession
    unnamed_ref: str
    vouched: bool
    hosts: frozenset[str]
    key: str = ""
    certificate_warnings: Callable[[], list[str]] = list
    blue: BlueBoard | None = None

    def __post_init__(self) -> None:
        self.key = self.key or self.hub.console_key()
        self.token = csrf_token(self.key)
        self.holds = Holds(self.hub.root)
        self.holding = Holding(self.holds, self.desk, self.session, self.tallies, wall_now)
        self.log = HubLog(self.hub.root, wall_now())
        self._blue_log = BlueLog(self.log)
        operational = self.settings.mode is Mode.OPERATIONAL
        self.sessions = Sessions(Users(self.hub.root), time.monotonic, self._note_session, operational=operational)
        self.session_id = uuid7(wall_now())
        self.pages = 0
        self._absent_since: float | None = None
        self._at_page = False
        self._version = 0
        self._commit_due = False
        self._entries_written: tuple[int, ...] = ()
        self._failing: dict[str, str] = {}
        self._judged_false: dict[str, str] = {}
        self._news = asyncio.Condition()

    @property
    def officer_ref(self) -> str:
        """The reference of who asks now; without users the one that the hub was started with."""
        return acting.get().ref or self.unnamed_ref

    def _note_session(self, how: Event, ref: str) -> None:
        """A row of the hub's log; a disk that refuses is logged, and locks nobody out of a running deployment."""
        try:
            self.log.note("session", wall_now(), event=how, officer=ref)
        except Unavailable as fault:
            event(_log, "hub.session_not_logged", level=logging.ERROR, how=how, reason=str(fault))

    @property
    def operator(self) -> Operator:
        """The operator's presence: an open page (rule 3), or a simulated operator of a headless run."""
        return "present" if self._at_page else "simulated" if self.vouched else "absent"

    def changed(self) -> None:
        """The desk changed: wake the event streams (called on the loop)."""
        self._version += 1
        if not self._commit_due:
            self._commit_due = True
            asyncio.get_running_loop().call_soon(self._commit)
        task = asyncio.ensure_future(self._wake())
        task.add_done_callback(lambda done: done.exception())

    def commit_and_show(self) -> None:
        """Something changed that must be on the disk before it is answered."""
        self.desk.commit()
        self.changed()

    def _commit(self) -> None:
        self._commit_due = False
        self._commit_and_confirm()

    def _commit_and_confirm(self) -> None:
        """Write what changed; what a device sends until it is on this disk is confirmed to it."""
        self.desk.commit()
        if not self.desk.store_problem:
            self.session.confirmations.send()

    async def _wake(self) -> None:
        async with self._news:
            self._news.notify_all()

    async def maintain(self) -> None:
        """Once a second: presence, erasure, entries, expiry, repeated judgements, saved counts.

        Presence comes first: a device must not run without an operator. A step that fails is logged, is a warning on
        the page, and is tried again a second later; the others go on.
        """
        while True:
            for name, step in self._steps:
                await self._try(name, step)
            await asyncio.sleep(1.0)

    @property
    def _steps(self) -> tuple[tuple[str, Callable[[], None]], ...]:
        return (
            ("presence", self._watch_presence),
            ("the hub's state", self._publish_operator),
            ("erasure", self.erase_references),
            ("entries", self._read_entries_again),
            ("judgements", self.session.repeat),
            ("expiry", self._expire),
            (HOLDS_OF_FALSE, self._release_false),
            ("the desk on the disk", self._commit_and_confirm),
            ("blue list", self._count_passes),
            ("saved counts", self.tallies.save),
            ("blue list in the signed log", self.note_blue_list),
        )

    async def _try(self, name: str, step: Callable[[], None]) -> None:
        """Run one step; its fault, whatever it is, is logged when it is new."""

        async def once() -> None:
            step()

        (fault,) = await asyncio.gather(once(), return_exceptions=True)
        if fault is None:
            self._failing.pop(name, None)
        else:
            self._failed(name, fault)

    def _failed(self, name: str, fault: BaseException) -> None:
        reason = f"{type(fault).__name__}: {fault}"
        if self._failing.get(name) != reason:
            self._failing[name] = reason
            event(_log, "hub.step_failed", level=logging.ERROR, step=name, reason=reason)

    @property
    def failing(self) -> Iterable[str]:
        """Names of the steps that failed when they last ran."""
        return self._failing

    def _release_false(self) -> None:
        """Release the evidence holds of alerts that were judged false. Unavailable: some are still there."""
        faults = []
        for alert_id, officer_ref in tuple(self._judged_false.items()):
            try:
                self.holding.judged_false(alert_id, officer_ref)
                del self._judged_false[alert_id]
            except LfrError as fault:
                faults.append(f"case {alert_id[-6:]}: {fault}")
        if faults:
            raise Unavailable("; ".join(faults))

    def _expire(self) -> None:
        if self.desk.tick(wall_now()) | self.session.views.tick(wall_now()):
            self.changed()

    def _count_passes(self) -> None:
        if self.blue is not None and self.blue.tick(wall_now()):
            self.changed()

    def note_blue_list(self, *, at_once: bool = False) -> None:
        """Totals of the blue list that have changed, into the hub's signed log."""
        self._blue_log.note(self.tallies.book.deployments, wall_now(), at_once=at_once)

    def log_pass(self, ref: str | None) -> None:
        """A volunteer of the blue list passes now. RefusedByCondition: none runs, or nobody of that reference."""
        if self.blue is None:
            raise RefusedByCondition("blue list", "this hub has none")
        self.blue.log_pass(wall_now(), ref)
        self.commit_and_show()

    def erase_references(self) -> None:
        """Delete the reference photos of a list that has ended; a disk that refuses is logged and retried."""
        ended = self.desk.list_ended(wall_now())
        if ended is None:
            return
        device, at = ended
        try:
            photos = self.hub.erase_entries(given_before=at)
        except (OSError, ConfigError, Unavailable) as fault:
            event(_log, "hub.references_not_erased", level=logging.ERROR, reason=str(fault))
            return
        self.desk.references_erased(device, photos)
        event(_log, "hub.references_erased", photos=photos)
        self.changed()

    def _read_entries_again(self) -> None:
        """Take entries that were added or removed since; while the file has mistakes, the last valid entries stay."""
        try:
            written = self.hub.entries_written()
            if written == self._entries_written:
                return
            self._entries_written = written
            self.settings = replace(self.settings, entries=self.hub.settings().entries)
        except (OSError, Unavailable, ConfigError) as fault:
            event(_log, "hub.entries_not_read", level=logging.WARNING, reason=str(fault))
        self.changed()

    def _publish_operator(self) -> None:
        operator = self.operator
        self.session.publish_state(operator, None if operator == "absent" else self.session_id)

    def page_opened(self) -> None:
        """An event stream began: the operator is there at once."""
        self.pages += 1
        self._absent_since = None
        if not self._at_page:
            self._at_page = True
            self._publish_operator()
            self.changed()

    def page_closed(self) -> None:
        """An event stream ended."""
        self.pages -= 1
        if self.pages == 0:
            self._absent_since = asyncio.get_running_loop().time()

    def _watch_presence(self) -> None:
        now_s = asyncio.get_running_loop().time()
        gone = self._absent_since is not None and now_s - self._absent_since > GRACE_S
        if gone and self._at_page:
            self._at_page = False
            self.changed()

    def view(self, session: Session) -> dict[str, Any]:
        """The page's snapshot; cases only for those who may judge them, overdue holds for those who may read holds."""
        reads_holds = session.may("GET", "/holds")
        holds = self.holding.shown() if reads_holds else []
        shown = snapshot(
            self.desk,
            self.settings,
            now=wall_now(),
            operator=self.operator,
            broker_online=self.session.online,
            broker_text=self.session.text,
            holds=holds,
            warnings=self._warnings(reads_holds),
            shown_views=self.session.views.shown,
        )
        named = session is not NOBODY
        shown["user"] = {"ref": session.ref, "role": session.role} if named else None
        shown["blue_list"] = None if self.blue is None else self.blue.shown(wall_now(), cards=session.role in JUDGES)
        shown["lock_in_s"] = self.sessions.left_s(session)
        if session.role == "auditor":
            shown["devices"] = [{**each, "view": None} for each in shown["devices"]]
        return shown if session.role in JUDGES else {**shown, "cases": [], "receipts": [], "holds": []}

    def _warnings(self, reads_holds: bool) -> list[str]:
        """Reasons may name a case: they are for those who may read holds."""
        failing = [
            f"{name}: this fails at the hub ({reason})" if reads_holds else f"{name}: this fails at the hub"
            for name, reason in self._failing.items()
        ]
        return [*self.certificate_warnings(), *(self.holds.unreadable if reads_holds else ()), *failing]

    async def stream(self, cookie: str) -> AsyncIterator[bytes]:
        """Server-sent events: a whole snapshot at each change, at least every BEAT_S, until the session ends."""
        session = self.sessions.of(cookie)
        judges = session is not None and session.role in JUDGES
        if judges:
            self.page_opened()
        try:
            while (session := self.sessions.of(cookie)) is not None:
                version = self._version
                yield b"data: " + json.dumps(self.view(session), ensure_ascii=False).encode() + b"\n\n"
                await asyncio.sleep(AT_MOST_EVERY_S)
                if version == self._version:
                    async with self._news:
                        try:
                            await asyncio.wait_for(self._news.wait(), BEAT_S)
                        except asyncio.TimeoutError:
                            continue
        finally:
            if judges:
                self.page_closed()

    def decide(self, alert_id: str, kind: str, outcome: str, reasons: Sequence[Factor] = ()) -> bool:
        """An operator's judgement: applied to the desk, then sent to the devices. False when the case is gone.

        reasons: of an adjudication, counted for the report
        """
        had = self.desk.cases.get(alert_id)
        if had is not None and had.outcome is None and had.alert.candidate.entry_ref not in self.settings.entries:
            raise RefusedByCondition("reference photo", "its list is deleted here: this alert can no longer be judged")
        if problem := self.desk.try_room():
            raise RefusedByCondition(
                "disk",
                f"the hub's disk keeps nothing ({problem}): this was not recorded, and the alert stays;"
                " make room, then judge again",
            )
        case = (
            self.desk.judge(alert_id, outcome) if kind == "adjudication" else self.desk.follow(alert_id, kind, outcome)
        )
        if case is None:
            return False
        device = case.device
        if kind != "adjudication":
            self.session.follow(alert_id, kind, outcome, self.officer_ref, device)
        if kind == "adjudication" or outcome == "confirmed_false":
            judged = outcome if kind == "adjudication" else "false_alert"
            self.session.judge(alert_id, judged, self.officer_ref, device, reasons=reasons)
            self.tallies.reasoned(case.alert.deployment_id, reasons)
            if judged == "false_alert":
                self._judged_false[alert_id] = self.officer_ref
                try:
                    self._release_false()
                except Unavailable as fault:  # the judgement stands; `maintain` tries again
                    self._failed(HOLDS_OF_FALSE, fault)
        self.desk.commit()
        self.changed()
        return True
