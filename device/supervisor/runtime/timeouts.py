"""Waiting that can be ended: for an event with a time limit, and for background tasks to be gone.

`asyncio.wait_for` is not used here: before Python 3.12 it loses a cancellation that comes in the same turn of the loop
as what it waits for, and the task then runs on for ever.
"""

from __future__ import annotations

import asyncio
import logging

from device.logs import event

_log = logging.getLogger(__name__)
SETTLE_S = 2.0
ASK_AGAIN_S = 0.2


async def set_within(flag: asyncio.Event, within_s: float) -> bool:
    """Wait for `flag`, at most `within_s`; whether it is set. A cancellation always ends the wait."""
    if flag.is_set():
        await asyncio.sleep(0)
        return True
    waiter = asyncio.ensure_future(flag.wait())
    try:
        await asyncio.wait((waiter,), timeout=within_s)
    finally:
        waiter.cancel()
    return flag.is_set()


async def settle(*tasks: asyncio.Task[None], within_s: float = SETTLE_S) -> bool:
    """Cancel background tasks until they are done, asking again; False when one is left at the deadline, and logged."""
    loop = asyncio.get_running_loop()
    last = loop.time() + within_s
    pending = {task for task in tasks if not task.done()}
    while pending and loop.time() < last:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=ASK_AGAIN_S)
    for task in tasks:
        if task.done() and not task.cancelled() and (fault := task.exception()) is not None:
            event(_log, "background.failed", level=logging.ERROR, problem=f"{type(fault).__name__}: {fault}")
    if pending:
        event(_log, "background.stuck", level=logging.ERROR, tasks=len(pending))
    return not pending
