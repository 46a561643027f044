"""The console: a page for the operator, on the loopback only, pictures from memory only.

1. Every request is checked for its Host (against DNS rebinding) and needs the session cookie, which only the address
   printed at the start sets; a change also needs the page's token and its own origin. Both stay the same across
   restarts (`keys/console.txt`), so that an open page reconnects by itself.
2. Nothing is loaded from elsewhere, nothing may be cached, nothing may be framed (the headers below).
3. An operator is present while a page is open, that is, while its event stream is; absent after the stream has ended
   and the grace for a reload is over.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from device.domain.judgement import AdjudicationOutcome, DispositionOutcome, EngagementOutcome
from device.errors import BadData, ConfigError, RefusedByCondition, Unavailable
from device.hub_api.identifiers import uuid7
from device.hub_api.messages import Operator
from device.logs import event
from tools.hub.console.access import COOKIE, HEADERS, csrf_token, same, wall_now
from tools.hub.console.command_route import command_route
from tools.hub.console.desk import Desk
from tools.hub.console.hold_routes import hold_routes
from tools.hub.console.holding import Holding
from tools.hub.console.session import HubSession
from tools.hub.console.view import snapshot
from tools.hub.report.tallies import Tallies
from tools.hub.storage.folder import ConsoleSettings, HubFolder
from tools.hub.storage.holds import Holds

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

STATIC = Path(__file__).parent / "static"
BEAT_S = 5.0  # an event stream sends at least this often, so that the browser does not close it
AT_MOST_EVERY_S = 0.15
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
    officer_ref: str
    vouched: bool
    hosts: frozenset[str]
    key: str = ""
    certificate_warnings: Callable[[], list[str]] = list

    def __post_init__(self) -> None:
        self.key = self.key or self.hub.console_key()
        self.token = csrf_token(self.key)
        self.holding = Holding(Holds(self.hub.root), self.desk, self.session, self.tallies, wall_now)
        self.session_id = uuid7(wall_now())
        self.pages = 0
        self._absent_since: float | None = None
        self._at_page = False
        self._version = 0
        self._commit_due = False
        self._entries_written: tuple[int, ...] = ()
        self._news = asyncio.Condition()

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
        self.desk.commit()

    async def _wake(self) -> None:
        async with self._news:
            self._news.notify_all()

    async def maintain(self) -> None:
        """Once a second: presence, entries, expiry, repeated judgements, saved counts."""
        while True:
            self.erase_references()
            self._read_entries_again()
            self._watch_presence(asyncio.get_running_loop().time())
            self._publish_operator()
            self.session.repeat()
            if self.desk.tick(wall_now()):
                self.changed()
            self.desk.commit()
            self.tallies.save()
            await asyncio.sleep(1.0)

    def erase_references(self) -> None:
        """Delete the reference photos of a list that has ended; a disk that refuses is logged and retried."""
        ended = self.desk.list_ended(wall_now())
        if ended is None:
            return
        device, at = ended
        try:
            photos = self.hub.erase_entries(given_before=at)
        except (OSError, ConfigError) as fault:
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

    def _watch_presence(self, now_s: float) -> None:
        gone = self._absent_since is not None and now_s - self._absent_since > GRACE_S
        if gone and self._at_page:
            self._at_page = False
            self.changed()

    def view(self) -> dict[str, Any]:
        """The page's snapshot."""
        return snapshot(
            self.desk,
            self.settings,
            now=wall_now(),
            operator=self.operator,
            broker_online=self.session.online,
            broker_text=self.session.text,
            holds=self.holding.shown(),
            warnings=self.certificate_warnings(),
        )

    async def stream(self) -> AsyncIterator[bytes]:
        """Server-sent events: a whole snapshot at each change, at least every BEAT_S."""
        self.page_opened()
        try:
            while True:
                version = self._version
                yield b"data: " + json.dumps(self.view(), ensure_ascii=False).encode() + b"\n\n"
                await asyncio.sleep(AT_MOST_EVERY_S)
                if version == self._version:
                    async with self._news:
                        try:
                            await asyncio.wait_for(self._news.wait(), BEAT_S)
                        except asyncio.TimeoutError:
                            continue
        finally:
            self.page_closed()

    def decide(self, alert_id: str, kind: str, outcome: str) -> bool:
        """An operator's decision: applied to the desk, then sent to the devices. False when the case is gone."""
        had = self.desk.cases.get(alert_id)
        if had is not None and had.outcome is None and had.alert.candidate.entry_ref not in self.settings.entries:
            raise RefusedByCondition("reference photo", "its list is deleted here: this alert can no longer be judged")
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
            if judged == "false_alert":
                self.holding.judged_false(alert_id, self.officer_ref)
            self.session.judge(alert_id, judged, self.officer_ref, device)
        self.desk.commit()
        self.changed()
        return True


DECISIONS: dict[str, frozenset[str]] = {
    "adjudication": frozenset(get_args(AdjudicationOutcome)),
    "engagement": frozenset(get_args(EngagementOutcome)),
    "disposition": frozenset(get_args(DispositionOutcome)),
}


def application(console: Console, on_start: Callable[[], None]) -> Starlette:
    """The web application of one console; `on_start` runs on its loop before the first request."""
    from starlette.applications import Starlette
    from starlette.middleware import Middleware
    from starlette.routing import Route

    pages = _Pages(console)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        on_start()
        maintaining = asyncio.ensure_future(console.maintain())
        try:
            yield
        finally:
            maintaining.cancel()

    return Starlette(
        routes=[
            Route("/", pages.index),
            Route("/static/{name}", pages.static),
            Route("/events", pages.events),
            Route("/snapshot", pages.snapshot),
            Route("/cases/{alert_id}/probe", pages.probe),
            Route("/cases/{alert_id}/reference", pages.reference),
            Route("/cases/{alert_id}/{kind}", pages.decide, methods=["POST"]),
            command_route(
                lambda device: device in console.desk.devices,
                lambda device, name: console.session.command(device, name, console.officer_ref),
            ),
            *hold_routes(console.holding, console.officer_ref, console.commit_and_show),
        ],
        middleware=[Middleware(_Guard, refuse=pages.refuse)],
        lifespan=lifespan,
    )


class _Guard:
    """ASGI middleware around every request: refuses first, and puts HEADERS on every answer."""

    def __init__(self, app: ASGIApp, refuse: Callable[[Request], Response | None]) -> None:
        self._app = app
        self._refuse = refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        from starlette.datastructures import MutableHeaders
        from starlette.requests import Request

        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        refusal = self._refuse(Request(scope))
        await (self._app if refusal is None else refusal)(scope, receive, send_guarded)


class _Pages:
    """The handlers. Each answers with plain text when it refuses."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._page = (STATIC / "console.html").read_text(encoding="utf-8")

    def refuse(self, request: Request) -> Response | None:
        """The refusal of a request that fails a check (rule 1), or None."""
        from starlette.responses import PlainTextResponse

        console = self._console
        if request.headers.get("host", "") not in console.hosts:
            return PlainTextResponse("This console answers on its loopback address only.", 421)
        if request.url.path.startswith("/static/"):
            return None
        entering = request.url.path == "/" and same(request.query_params.get("key", ""), console.key)
        if not entering and not same(request.cookies.get(COOKIE, ""), console.key):
            return PlainTextResponse("Open the console with the address that `lfr hub serve` printed.", 403)
        if request.method == "POST":
            own = {f"http://{host}" for host in console.hosts}
            if request.headers.get("origin") not in own or not same(
                request.headers.get("x-csrf-token", ""), console.token
            ):
                return PlainTextResponse("This request does not come from the console's own page.", 403)
        return None

    async def index(self, request: Request) -> Response:
        """The page with its first snapshot inside; with the key in the address: the cookie, then the page."""
        from starlette.responses import HTMLResponse, RedirectResponse

        if "key" in request.query_params:
            entered = RedirectResponse("/", 303)
            entered.set_cookie(COOKIE, self._console.key, httponly=True, samesite="strict", path="/")
            return entered
        first = json.dumps(self._console.view(), ensure_ascii=False).replace("<", "\\u003c")
        notice = json.dumps(self._console.settings.notice, ensure_ascii=False).replace("<", "\\u003c")
        page = self._page.replace("{{token}}", self._console.token)
        return HTMLResponse(page.replace("{{notice}}", notice).replace("{{snapshot}}", first))

    async def static(self, request: Request) -> Response:
        """The style and the script."""
        from starlette.responses import PlainTextResponse, Response

        kinds = {"console.css": "text/css", "console.js": "text/javascript"}
        name = request.path_params["name"]
        if name not in kinds:
            return PlainTextResponse("not found", 404)
        return Response((STATIC / name).read_bytes(), media_type=kinds[name])

    async def events(self, _: Request) -> Response:
        """The event stream."""
        from starlette.responses import StreamingResponse

        return StreamingResponse(self._console.stream(), media_type="text/event-stream")

    async def snapshot(self, _: Request) -> Response:
        """The current snapshot once, for tests and tools."""
        from starlette.responses import JSONResponse

        return JSONResponse(self._console.view())

    async def probe(self, request: Request) -> Response:
        """The opened probe of a case that is on the desk."""
        alert_id = request.path_params["alert_id"]
        picture = self._console.desk.pictures.get(alert_id) if alert_id in self._console.desk.cases else None
        return _jpeg(picture.jpeg if picture else None)

    async def reference(self, request: Request) -> Response:
        """The reference photo of a case that is on the desk; no other is served."""
        case = self._console.desk.cases.get(request.path_params["alert_id"])
        return _jpeg(self._console.hub.reference(case.alert.candidate.entry_ref) if case else None)

    async def decide(self, request: Request) -> Response:
        """An operator's decision: a JSON body with its outcome."""
        from starlette.responses import JSONResponse, PlainTextResponse

        kind = request.path_params["kind"]
        try:
            outcome = (await request.json())["outcome"]
            if outcome not in DECISIONS[kind]:
                raise BadData(f"outcome {outcome!r}")
        except (ValueError, KeyError, TypeError, BadData):
            return PlainTextResponse("no such decision", 400)
        try:
            if not self._console.decide(request.path_params["alert_id"], kind, outcome):
                return PlainTextResponse("this case is no longer on the desk", 404)
        except RefusedByCondition as fault:
            return PlainTextResponse(str(fault), 409)
        return JSONResponse({"done": True})


def _jpeg(content: bytes | None) -> Response:
    from starlette.responses import PlainTextResponse, Response

    return Response(content, media_type="image/jpeg") if content else PlainTextResponse("none", 404)
