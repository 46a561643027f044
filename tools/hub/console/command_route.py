"""`POST /devices/<device>/stop|resume`: an operator's command; the device's reply is shown in its panel."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from device.errors import Unavailable
from device.hub_api.messages import CommandName

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route

COMMANDS: dict[str, CommandName] = {"stop": "stop", "resume": "resume"}


def command_route(known: Callable[[str], bool], send: Callable[[str, CommandName], None]) -> Route:
    """The route; the console's guard has checked cookie, origin and token before.

    known: whether the site has that device. send: sends a command, or raises Unavailable with the reason.
    """
    from starlette.responses import JSONResponse, PlainTextResponse
    from starlette.routing import Route

    async def give(request: Request) -> Response:
        device, name = request.path_params["device"], COMMANDS.get(request.path_params["command"])
        if name is None or not known(device):
            return PlainTextResponse("no such command or device", 404)
        try:
            send(device, name)
        except Unavailable as fault:
            return PlainTextResponse(str(fault), 503)
        return JSONResponse({"sent": True})

    return Route("/devices/{device}/{command}", give, methods=["POST"])
