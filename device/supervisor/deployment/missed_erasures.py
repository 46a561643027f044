"""The supervisor's side of the eraser: what it missed while no supervisor ran, and the verified time for it."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from functools import partial

from device.errors import Unavailable
from device.logs import event
from device.supervisor.alerts.outbox_publisher import OutboxPublisher
from device.supervisor.audit.writer import AuditWriter
from device.supervisor.deployment.erasure_orders import ErasureOrders
from device.supervisor.deployment.receipts import ErasureReceipts
from device.supervisor.runtime.executor import Disk
from device.supervisor.timing import STOPPED_S, VERIFIED_TIME_S

_log = logging.getLogger(__name__)


class MissedErasures:
    """`catch_up` and `report` run once, at the start."""

    def __init__(
        self,
        disk: Disk,
        audit: AuditWriter,
        receipts: ErasureReceipts,
        *,
        publisher: OutboxPublisher,
        orders: ErasureOrders,
    ) -> None:
        self._disk = disk
        self._audit = audit
        self._receipts = receipts
        self._publisher = publisher
        self._orders = orders

    async def catch_up(self) -> None:
        """Erase what became due while no supervisor ran. A failure is logged; the timer tries again."""
        try:
            gone = await self._disk(self._orders.catch_up)
        except Unavailable as fault:
            event(_log, "eraser.failed", level=logging.ERROR, problem=str(fault))
            self._audit.note("fault", "R06", condition="erasure")
            return
        if gone:
            event(_log, "eraser.caught_up", alerts_erased=gone)

    async def report(self) -> None:
        """Chain and publish receipts of what the eraser erased without a supervisor; each stays on disk until then."""
        for missed in await self._disk(self._orders.missed):
            event(_log, "eraser.receipt", deployment=missed.deployment, reason=missed.reason)
            self._receipts.erased_before(missed)
        if await self._publisher.drain(STOPPED_S, ()) and await self._audit.write():
            for missed in await self._disk(self._orders.missed):
                await self._disk(partial(self._orders.reported, missed))

    async def store_verified_time(self) -> None:
        """Store the verified time for the eraser every VERIFIED_TIME_S; others report a disk that refuses."""
        while True:
            await asyncio.sleep(VERIFIED_TIME_S)
            with suppress(Unavailable):
                await self._disk(self._orders.advance_verified_time)
