"""Waits with a deadline: for an event, for a result, and for background tasks to end.

`asyncio.wait_for` is not used: before Python 3.12 it can lose a cancellation that arrives in the same turn of the loop
as the result, and the task then runs on.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any, TypeVar

from device.logs import event
from device.supervisor.timing import TASKS_CANCEL_AGAIN_S, TASKS_END_S

_log = logging.getLogger(__name__)
Result = TypeVar("Result")


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


async def result_within(work: Coroutine[Any, Any, Result], within_s: float) -> Result:
    """The result of `work`. Raises TimeoutError of asyncio after `within_s`; `work` is then cancelled."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait((task,), timeout=within_s)
    finally:
        if not task.done():
            task.cancel()
    if not task.done():
        raise asyncio.TimeoutError
    return task.result()


async def settle(*tasks: asyncio.Task[None], within_s: float = TASKS_END_S) -> bool:
    """Cancel background tasks until they are done, again and again; False, and logged, when one is left at the end."""
    loop = asyncio.get_running_loop()
    last = loop.time() + within_s
    pending = {task for task in tasks if not task.done()}
    while pending and loop.time() < last:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=TASKS_CANCEL_AGAIN_S)
    for task in tasks:
        if task.done() and not task.cancelled() and (fault := task.exception()) is not None:
            event(_log, "background.failed", level=logging.ERROR, problem=f"{type(fault).__name__}: {fault}")
    if pending:
        event(_log, "background.stuck", level=logging.ERROR, tasks=len(pending))
    return not pending
