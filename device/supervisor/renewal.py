"""Asks the hub for renewed certificates."""

from __future__ import annotations

import asyncio

from device.supervisor.edges import Edges
from device.supervisor.timing import RENEWAL_FIRST_S, RENEWAL_S


async def renew_certificates(edges: Edges) -> None:
    """Ask until cancelled; what came is used from the next connection on."""
    await asyncio.sleep(RENEWAL_FIRST_S)
    while True:
        await edges.sync(edges.renew)
        await asyncio.sleep(RENEWAL_S)
