"""Opens the outbox. A service whose state folder refuses it shows that, with the sign off, and tries again.

1. Without an outbox nothing is loaded and nothing recognised: no alert could be kept. The fault lamp is lit, the tower
   lamp shows the code of *state folder takes writes*, and the service manager's status line has the remedy.
2. The unit is ready meanwhile: ending would use up its starts, and a device that stays down lights no lamp.
3. When the folder takes writes again the start goes on. SIGTERM and SIGINT end the program with 0.
4. A program that no service manager started ends instead (69): somebody reads its error.
"""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Callable

from device.domain.conditions import ConditionName
from device.domain.symptoms.table import remedy
from device.errors import Unavailable
from device.logs import event
from device.outbox.store import Outbox
from device.ports.gpio import Gpio, Lamp
from device.ports.service import ServiceManager
from device.supervisor.runtime.executor import Disk
from device.supervisor.runtime.timeouts import set_within
from device.supervisor.sign.blink_codes import CODES, OFF
from device.supervisor.sign.indicators import Indicators
from device.supervisor.timing import ALIVE_S, STATE_FOLDER_WRITE_S

_log = logging.getLogger(__name__)
REFUSED = ConditionName.STATE_FOLDER_TAKES_WRITES


async def opened_outbox(
    opening: Callable[[], Outbox], *, disk: Disk, lines: Gpio, service: ServiceManager, indicators: Indicators
) -> Outbox:
    """The open outbox (rules 1 to 3). opening: opens it, on the disk thread; raises Unavailable."""
    leaving, problem = asyncio.Event(), ""
    loop = asyncio.get_running_loop()
    while True:
        attempt = asyncio.ensure_future(disk(opening))
        while not attempt.done():
            _beat(service, indicators)
            await asyncio.wait((attempt,), timeout=ALIVE_S)
        try:
            outbox = attempt.result()
        except Unavailable as fault:
            if not problem:
                lines.drive_sign(False)
                service.ready()
                for number in (signal.SIGTERM, signal.SIGINT):
                    loop.add_signal_handler(number, leaving.set)
            if str(fault) != problem:
                event(_log, "outbox.refused", level=logging.ERROR, problem=str(fault))
            problem = str(fault)
            service.status(f"safe, nothing is recognised: {fault}; {remedy(REFUSED)}")
            indicators.light(Lamp.FAULT, True)
            indicators.show(next(code for code in CODES if REFUSED in code.conditions))
        else:
            indicators.light(Lamp.FAULT, False)
            indicators.show(OFF)
            return outbox
        await _rest(service, indicators, leaving)


async def _rest(service: ServiceManager, indicators: Indicators, leaving: asyncio.Event) -> None:
    """The pause before the next attempt. Raises SystemExit when the program is to end (rule 3)."""
    loop = asyncio.get_running_loop()
    until = loop.time() + STATE_FOLDER_WRITE_S
    while loop.time() < until:
        _beat(service, indicators)
        if await set_within(leaving, ALIVE_S):
            raise SystemExit(0)


def _beat(service: ServiceManager, indicators: Indicators) -> None:
    service.alive()
    indicators.blink()
