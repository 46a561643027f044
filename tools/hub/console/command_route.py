"""`POST /devices/<device>/stop|resume|view|end-view|zone`: a command; the device's reply is shown in its panel."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from device.errors import Unavailable
from device.hub_api.messages import CommandName, CommandZone

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route

COMMANDS: tuple[CommandName, ...] = ("stop", "resume", "view", "end-view", "zone")


def command_route(known: Callable[[str], bool], send: Callable[[str, CommandName, CommandZone | None], None]) -> Route:
    """The route; the console's guard has checked cookie, origin and token before.

    known: whether the site has that device. send: sends a command, or raises Unavailable with the reason.
    """
    from starlette.responses import JSONResponse, PlainTextResponse
    from starlette.routing import Route

    async def give(request: Request) -> Response:
        device, asked = request.path_params["device"], request.path_params["command"]
        name = next((one for one in COMMANDS if one == asked), None)
        if name is None or not known(device):
            return PlainTextResponse("no such command or device", 404)
        try:
            send(device, name, msgspec.json.decode(await request.body(), type=CommandZone) if name == "zone" else None)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as fault:
            return PlainTextResponse(f"no zone: {fault}", 400)
        except Unavailable as fault:
            return PlainTextResponse(str(fault), 503)
        return JSONResponse({"sent": True})

    return Route("/devices/{device}/{command}", give, methods=["POST"])
