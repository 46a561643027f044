"""Calls that block on storage or the network, off the loop: one thread each, in the order of the calls."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, TypeVar

from device.logs import event
from device.supervisor.timing import EXECUTOR_CLOSE_S

_log = logging.getLogger(__name__)
Result = TypeVar("Result")


class Disk(Protocol):
    """Runs a call that may block on storage, never two at a time."""

    async def __call__(self, work: Callable[[], Result]) -> Result: ...

    def close(self) -> None: ...


class DiskThread:
    """One thread: `disk`, the one that writes, or `sync`, which also waits for the network."""

    def __init__(self, name: str = "disk", close_within_s: float = EXECUTOR_CLOSE_S) -> None:
        self._name = name
        self._close_within_s = close_within_s
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)

    async def __call__(self, work: Callable[[], Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def close(self) -> None:
        """End the thread after the calls that it has accepted; one that hangs is left behind after a deadline."""
        last = threading.Event()
        self._thread.submit(last.set)
        ended = last.wait(self._close_within_s)
        if not ended:
            event(_log, "thread.stuck", level=logging.ERROR, thread=self._name, waited_s=self._close_within_s)
        self._thread.shutdown(wait=ended, cancel_futures=True)


class DiskInline:
    """For virtual time: runs the call at once, on the loop."""

    async def __call__(self, work: Callable[[], Result]) -> Result:
        return work()

    def close(self) -> None:
        """Nothing to close."""
