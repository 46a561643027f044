"""The console's requests: who may ask what, the page, its pictures, judgements and commands.

1. Every request is checked for its Host (against DNS rebinding) and needs the page's cookie, which only the address
   printed at the start sets; a change also needs the page's token and its own origin. Both stay the same across
   restarts (`keys/console.txt`), so that an open page reconnects by itself.
2. Where the hub has users, all but the login needs a session whose role may ask for it (`login.py`).
3. Nothing is loaded from elsewhere, nothing may be cached, nothing may be framed (`access.HEADERS`).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from device.domain.judgement import AdjudicationOutcome, DispositionOutcome, EngagementOutcome, Factor
from device.errors import BadData, RefusedByCondition
from tools.hub.console.access import COOKIE, HEADERS, same
from tools.hub.console.blue_route import blue_route
from tools.hub.console.command_route import command_route
from tools.hub.console.console import Console
from tools.hub.console.hold_routes import hold_routes
from tools.hub.console.login import COOKIE as SESSION
from tools.hub.console.login import acting
from tools.hub.language.words import draft_mark, welsh

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

STATIC = Path(__file__).parent / "static"
KINDS = {
    "console.css": "text/css",
    "console.js": "text/javascript",
    "login.js": "text/javascript",
    "language.js": "text/javascript",
    "live_view.js": "text/javascript",
    "case_tools.js": "text/javascript",
    "bluelist.js": "text/javascript",
    "bluelist.css": "text/css",
}


FACTORS = frozenset(get_args(Factor))
DECISIONS: dict[str, frozenset[str]] = {
    "adjudication": frozenset(get_args(AdjudicationOutcome)),
    "engagement": frozenset(get_args(EngagementOutcome)),
    "disposition": frozenset(get_args(DispositionOutcome)),
}


def application(console: Console, on_start: Callable[[], None], on_fault: Callable[[str], None]) -> Starlette:
    """The web application of one console; `on_start` runs on its loop before the first request.

    on_fault  called with the reason when the console's maintenance ended by itself: the program has to end too
    """
    from starlette.applications import Starlette
    from starlette.middleware import Middleware
    from starlette.routing import Route

    pages = _Pages(console)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        on_start()
        maintaining = asyncio.ensure_future(console.maintain())
        maintaining.add_done_callback(lambda ended: None if ended.cancelled() else on_fault(repr(ended.exception())))
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
            Route("/devices/{device}/cameras/{camera}/view", pages.live_view),
            command_route(
                lambda device: device in console.desk.devices,
                lambda device, name, zone: console.session.command(device, name, console.officer_ref, zone=zone),
            ),
            blue_route(console.log_pass),
            *hold_routes(console.holding, lambda: console.officer_ref, console.commit_and_show),
            Route("/login", pages.login, methods=["POST"]),
            Route("/logout", pages.logout, methods=["POST"]),
            Route("/active", pages.active, methods=["POST"]),
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
        self._login = (STATIC / "login.html").read_text(encoding="utf-8")

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
        return None if entering else self._of_session(request)

    def _of_session(self, request: Request) -> Response | None:
        """The refusal of a request without a session, or whose role may not ask for it (rule 2)."""
        from starlette.responses import PlainTextResponse

        session = self._console.sessions.of(request.cookies.get(SESSION, ""))
        if session is not None:
            acting.set(session)
            if session.may(request.method, request.url.path):
                return None
            return PlainTextResponse(f"This is not for the role {session.role}.", 403)
        return None if request.url.path in ("/", "/login") else PlainTextResponse("Log in first.", 401)

    async def index(self, request: Request) -> Response:
        """The page with its first snapshot inside; with the key in the address: the cookie, then the page."""
        from starlette.responses import HTMLResponse, RedirectResponse

        if "key" in request.query_params:
            entered = RedirectResponse("/", 303)
            entered.set_cookie(COOKIE, self._console.key, httponly=True, samesite="strict", path="/")
            return entered
        console = self._console
        session = console.sessions.of(request.cookies.get(SESSION, ""))
        page = self._login if session is None else self._page
        texts = {
            "token": console.token,
            "welsh": _inside({"words": welsh(), "draft": draft_mark(console.hub.root)}),
            "notice": _inside(console.settings.notice),
            "snapshot": "" if session is None else _inside(console.view(session)),
        }
        for name, content in texts.items():
            page = page.replace(f"{{{{{name}}}}}", content)
        return HTMLResponse(page)

    async def login(self, request: Request) -> Response:
        """Reference and password: the session's cookie."""
        from starlette.responses import JSONResponse, PlainTextResponse

        try:
            body = await request.json()
            ref, password = str(body["ref"])[:64], str(body["password"])[:1000]
        except (ValueError, KeyError, TypeError):
            return PlainTextResponse("no login", 400)
        try:
            key = await self._console.sessions.login(ref, password)
        except RefusedByCondition as fault:
            return PlainTextResponse(fault.text, 403)
        entered = JSONResponse({"done": True})
        entered.set_cookie(SESSION, key, httponly=True, samesite="strict", path="/")
        return entered

    async def logout(self, request: Request) -> Response:
        """The session ends; its page shows the login."""
        from starlette.responses import JSONResponse

        self._console.sessions.logout(request.cookies.get(SESSION, ""))
        self._console.changed()
        return JSONResponse({"done": True})

    async def active(self, _: Request) -> Response:
        """Somebody touched the page."""
        from starlette.responses import JSONResponse

        self._console.sessions.touch(acting.get())
        return JSONResponse({"done": True})

    async def static(self, request: Request) -> Response:
        """The style and the script."""
        from starlette.responses import PlainTextResponse, Response

        name = request.path_params["name"]
        if name not in KINDS:
            return PlainTextResponse("not found", 404)
        return Response((STATIC / name).read_bytes(), media_type=KINDS[name])

    async def events(self, request: Request) -> Response:
        """The event stream; it ends with its session."""
        from starlette.responses import StreamingResponse

        stream = self._console.stream(request.cookies.get(SESSION, ""))
        return StreamingResponse(stream, media_type="text/event-stream")

    async def snapshot(self, _: Request) -> Response:
        """The current snapshot once, for tests and tools."""
        from starlette.responses import JSONResponse

        return JSONResponse(self._console.view(acting.get()))

    async def probe(self, request: Request) -> Response:
        """The opened probe of a case that is on the desk."""
        alert_id = request.path_params["alert_id"]
        picture = self._console.desk.pictures.get(alert_id) if alert_id in self._console.desk.cases else None
        return _jpeg(picture.jpeg if picture else None)

    async def reference(self, request: Request) -> Response:
        """The reference photo of a case that is on the desk; no other is served."""
        case = self._console.desk.cases.get(request.path_params["alert_id"])
        return _jpeg(self._console.hub.reference(case.alert.candidate.entry_ref) if case else None)

    async def live_view(self, request: Request) -> Response:
        """The last picture of a camera's live view."""
        return _jpeg(self._console.session.views.picture(request.path_params["device"], request.path_params["camera"]))

    async def decide(self, request: Request) -> Response:
        """An operator's judgement: a JSON body with its outcome, and of an adjudication its reasons."""
        from starlette.responses import JSONResponse, PlainTextResponse

        kind = request.path_params["kind"]
        try:
            asked = await request.json()
            outcome, reasons = asked["outcome"], asked.get("reasons", [])
            if outcome not in DECISIONS[kind]:
                raise BadData(f"outcome {outcome!r}")
            if not isinstance(reasons, list) or any(reason not in FACTORS for reason in reasons):
                raise BadData("reasons")
        except (ValueError, KeyError, TypeError, AttributeError, BadData):
            return PlainTextResponse("no such decision", 400)
        self._console.sessions.touch(acting.get())
        try:
            if not self._console.decide(request.path_params["alert_id"], kind, outcome, sorted(set(reasons))):
                return PlainTextResponse("this case is no longer on the desk", 404)
        except RefusedByCondition as fault:
            return PlainTextResponse(fault.text, 409)
        return JSONResponse({"done": True})


def _jpeg(content: bytes | None) -> Response:
    from starlette.responses import PlainTextResponse, Response

    return Response(content, media_type="image/jpeg") if content else PlainTextResponse("none", 404)


def _inside(value: object) -> str:
    """JSON that may stand inside an HTML script element."""
    return json.dumps(value, ensure_ascii=False).replace("<", "\\u003c")
