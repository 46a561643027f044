"""`POST /bluelist/pass`: a volunteer passes now; the body may name which one."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from device.errors import RefusedByCondition

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route


def blue_route(log_pass: Callable[[str | None], None]) -> Route:
    """The route; the console's guard has checked cookie, origin, token and role before."""
    from starlette.responses import JSONResponse, PlainTextResponse
    from starlette.routing import Route

    async def give(request: Request) -> Response:
        try:
            ref = (await request.json()).get("ref")
            if ref is not None and not isinstance(ref, str):
                raise ValueError
        except (ValueError, AttributeError):
            return PlainTextResponse("no such pass", 400)
        try:
            log_pass(ref)
        except RefusedByCondition as fault:
            return PlainTextResponse(fault.text, 409)
        return JSONResponse({"logged": True})

    return Route("/bluelist/pass", give, methods=["POST"])
