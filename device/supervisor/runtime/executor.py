"""Disk work off the loop: one thread, in the order in which it was asked for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, TypeVar

Result = TypeVar("Result")


class Disk(Protocol):
    """Runs a call that may block on storage, never two at a time."""

    async def __call__(self, work: Callable[[], Result]) -> Result: ...

    def close(self) -> None: ...


class DiskThread:
    """One thread: `disk`, the one that writes, or `sync`, which also waits for the network."""

    def __init__(self, name: str = "disk") -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)

    async def __call__(self, work: Callable[[], Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def close(self) -> None:
        """Wait for what was asked for, then end the thread."""
        self._thread.shutdown(wait=True)


class DiskInline:
    """For virtual time: does the work at once, on the loop."""

    async def __call__(self, work: Callable[[], Result]) -> Result:
        return work()

    def close(self) -> None:
        """Nothing is open."""
