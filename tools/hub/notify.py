"""What the hub tells the service manager: ready, alive, one line of status, stopping (sd_notify(3))."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from device.ports.service import ServiceManager
from tools.hub.console.access import wall_now
from tools.hub.console.case import DeviceView
from tools.hub.console.console import Console

if TYPE_CHECKING:
    import uvicorn

ALIVE_S = 1.0  # the unit's WatchdogSec is far above this
START_POLL_S = 0.05


async def notify(service: ServiceManager, server: uvicorn.Server, line: Callable[[], str]) -> None:
    """Until it is cancelled. On the loop that serves the page, so that a loop that hangs starves the watchdog."""
    while not server.started:
        await asyncio.sleep(START_POLL_S)
    service.ready()
    said, said_at = "", 0.0
    try:
        while not server.should_exit:
            service.alive()
            text = line()
            if text != said or time.monotonic() - said_at > ALIVE_S * 60:
                said, said_at = text, time.monotonic()
                service.status(text)
            await asyncio.sleep(ALIVE_S)
    finally:
        service.stopping()


def status_line(console: Console) -> str:
    """What `systemctl status` shows: broker, operator, open cases, devices that report and those that do not."""
    now, online = wall_now(), console.session.online
    views: dict[str, DeviceView] = console.desk.devices
    silent = [name for name, view in sorted(views.items()) if view.unknown_because(now, broker_online=online)]
    waiting = sum(1 for case in console.desk.cases.values() if case.outcome is None)
    parts = [
        "broker connected" if online else f"no broker: {console.session.text}",
        f"operator {console.operator}",
        f"{waiting} cases open",
        f"{len(views) - len(silent)} of {len(views)} devices report",
        *([f"not known: {', '.join(silent)}"] if silent else []),
        *([f"the disk refuses: {console.desk.store_problem}"] if console.desk.store_problem else []),
    ]
    return "; ".join(parts)
