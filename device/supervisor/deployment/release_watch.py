"""Releases of the software: fetched while no deployment is offered or loaded, installed by the updater.

1. Nothing is fetched during a deployment, and a download ends within a second of one being offered.
2. The supervisor only places verified files (device/sync/release_client.py); lfr-update.service, which is root's,
   verifies again and installs. A failure here is logged once and fails no condition.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Protocol

from device.errors import LfrError
from device.logs import event
from device.supervisor.runtime.executor import Disk
from device.supervisor.timing import RELEASE_FIRST_S, RELEASE_IDLE_POLL_S, RELEASE_POLL_S

_log = logging.getLogger(__name__)


class Releases(Protocol):
    """Calls block and run on a thread of their own; `interrupt` may be called from anywhere."""

    def fetch(self) -> str: ...

    def news(self) -> str:
        """What a person should know of the last update; empty when there is nothing."""

    def interrupt(self) -> None: ...


class ReleaseWatch:
    """Polls for a release (rules 1 and 2). `news` is shown in the status."""

    def __init__(self, releases: Releases | None, thread: Disk | None, *, idle: Callable[[], bool]) -> None:
        """Without releases, or a thread for them, nothing is polled: this machine is updated by hand."""
        self._releases = releases
        self._thread = thread
        self._idle = idle
        self._problem = ""
        self.news = ""

    async def run(self) -> None:
        """Until cancelled."""
        if self._releases is None or self._thread is None:
            return
        await self._read_news(self._releases, self._thread)
        await asyncio.sleep(RELEASE_FIRST_S)
        while True:
            if self._idle():
                await self._fetch(self._releases, self._thread)
            await self._read_news(self._releases, self._thread)
            await asyncio.sleep(RELEASE_POLL_S)

    async def _fetch(self, releases: Releases, thread: Disk) -> None:
        task = asyncio.ensure_future(thread(releases.fetch))
        while not task.done():
            await asyncio.wait((task,), timeout=RELEASE_IDLE_POLL_S)
            if not task.done() and not self._idle():
                releases.interrupt()
        try:
            task.result()
            self._problem = ""
        except LfrError as fault:
            problem = str(fault).replace("\n", ";")
            if problem != self._problem:
                event(_log, "release.none", level=logging.WARNING, problem=problem)
            self._problem = problem

    async def _read_news(self, releases: Releases, thread: Disk) -> None:
        try:
            self.news = await thread(releases.news)
        except LfrError as fault:
            self.news = str(fault)
