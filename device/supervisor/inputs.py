"""Watches the housing's optional inputs: tamper line and blue-list button. (STOP: loop.py.)

gpiozero calls back on a thread of its own; each call is moved to the loop. A cut tamper wire reads as opened; a chip
that does not answer is neither tampering nor a press, and is logged.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from device.errors import GpioUnavailable
from device.logs import event
from device.ports.audit import Audit
from device.supervisor.edges import Edges

_log = logging.getLogger(__name__)
Listen = Callable[[Callable[[], None]], None]


def watch_tamper_line(edges: Edges, audit: Audit, opened: Callable[[], None]) -> None:
    """Call `opened` on the loop when the housing is opened."""
    if not _watched(edges.lines.on_tamper, opened):
        audit.note("fault", "R04", condition="tamper line")


def watch_blue_list_button(edges: Edges, pressed: Callable[[], None]) -> None:
    """Call `pressed` on the loop at each press; without the button the device recognises as before."""
    _watched(edges.lines.on_blue_list_button, pressed)


def _watched(listen: Listen, act: Callable[[], None]) -> bool:
    """Whether the line can be watched from now on."""
    loop = asyncio.get_running_loop()
    try:
        listen(lambda: _move_to(loop, act))
    except GpioUnavailable as fault:
        event(_log, "lines.lost", level=logging.ERROR, problem=str(fault))
        return False
    return True


def _move_to(loop: asyncio.AbstractEventLoop, act: Callable[[], None]) -> None:
    loop.call_soon_threadsafe(act)
