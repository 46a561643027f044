"""Asks the hub for renewed certificates, and knows when those in use end and why none came."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from device.supervisor.edges import Edges
from device.supervisor.status.certificates import CertificatesView
from device.supervisor.timing import RENEWAL_FIRST_S, RENEWAL_S


class CertificateRenewal:
    """`view` is what status and notices show."""

    def __init__(self, edges: Edges) -> None:
        self._edges = edges
        self.view = CertificatesView()

    async def run(self) -> None:
        """Ask until cancelled; what came is used from the next connection on."""
        await self.read()
        await asyncio.sleep(RENEWAL_FIRST_S)
        while True:
            await self._ask()
            await self.read()
            await asyncio.sleep(RENEWAL_S)

    async def read(self) -> None:
        """Read again when the certificates in use end."""
        ends = await self._edges.disk(self._edges.certificate_ends)
        self.view = replace(self.view, own=ends.own, authority=ends.authority)

    async def _ask(self) -> None:
        asked = await self._edges.sync(self._edges.renew)
        since = None if not asked.problem else self.view.failing_since or self._edges.clock.wall()
        self.view = replace(self.view, problem=asked.problem, refused=asked.refused, failing_since=since)
