"""Two lives of an audit log in one folder, as the supervisor writes it. Marks: `row N` when row N is promised."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from device.audit.key import device_key
from device.audit.log import Log
from device.edges.clock.system import SystemClock
from device.supervisor.audit.writer import AuditWriter
from device.supervisor.runtime.executor import DiskInline
from tests.lost_writes.disk import mark


async def life(state: Path, boot: str) -> None:
    writer = AuditWriter(
        lambda: (device_key(state), Log(state / "audit", part_bytes=2_500, parts=2)),
        DiskInline(),
        SystemClock(),
        boot,
        on_head=lambda head: mark(f"row {head.seq}"),
    )
    await writer.open()
    writer.note("started", version="1")
    await writer.sign()
    for number in range(4):
        for _ in range(3):
            writer.note("counts", "R04", faces_seen=number, discarded=number, alerted=0, alerted_by_worker=0)
        if await writer.write():
            mark(f"row {writer._links.seq - 1}")
        if number % 2:
            await writer.sign()
    await writer.close()


if __name__ == "__main__":
    for name in ("boot-1", "boot-2"):
        asyncio.run(life(Path(sys.argv[1]) / "state", name))
