"""`/holds`: list, place, renew and release holds, and record a complaint."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from device.errors import BadData, LfrError, RefusedByCondition, Unavailable, UsageError
from tools.hub.console.holding import Holding, HoldRequest

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route

STATUS: tuple[tuple[type[LfrError], int], ...] = (
    (RefusedByCondition, 409),
    (UsageError, 400),
    (BadData, 400),
    (Unavailable, 503),
)


def hold_routes(holding: Holding, officer_ref: Callable[[], str], changed: Callable[[], None]) -> list[Route]:
    """The routes; the console's guard has checked cookie, origin and token before. changed: called after a
    change. officer_ref: of who asks."""
    from starlette.responses import JSONResponse, PlainTextResponse
    from starlette.routing import Route

    async def listed(_: Request) -> Response:
        return JSONResponse(holding.shown())

    async def place(request: Request) -> Response:
        body, alert_id = await request.body(), request.path_params["alert_id"]
        try:
            asked = msgspec.json.decode(body, type=HoldRequest)
            holding.hold(alert_id, asked, officer_ref())
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as fault:
            return PlainTextResponse(f"no hold: {fault}", 400)
        except LfrError as fault:
            return refused(fault)
        return done()

    async def release(request: Request) -> Response:
        try:
            holding.release(request.path_params["alert_id"], officer_ref())
        except LfrError as fault:
            return refused(fault)
        return done()

    async def complaint(request: Request) -> Response:
        try:
            holding.complaint(request.path_params["reference"], officer_ref())
        except LfrError as fault:
            return refused(fault)
        return done()

    def refused(fault: LfrError) -> Response:
        text = fault.text if isinstance(fault, RefusedByCondition) else str(fault)
        return PlainTextResponse(text, next((n for kind, n in STATUS if isinstance(fault, kind)), 500))

    def done() -> Response:
        changed()
        return JSONResponse({"done": True})

    return [
        Route("/holds", listed),
        Route("/holds/{alert_id}", place, methods=["POST"]),
        Route("/holds/{alert_id}/release", release, methods=["POST"]),
        Route("/complaints/{reference}", complaint, methods=["POST"]),
    ]
