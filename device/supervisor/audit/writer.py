"""Writes the audit log: rows are chained at once, written in order on the disk thread, signed every ten seconds.

1. A row is chained and hashed when it is noted, so its hash can go into a receipt; the disk thread writes it, and
   nothing waits for that.
2. Rows that the disk refuses stay in memory and are retried every AUDIT_RETRY_S, in order; the failure is logged once,
   and is `problem` until the log takes writes again: a run condition, which stops recognition. Erasure continues.
   Above MOST_BYTES rows are counted instead of kept, and a row `lost` states their number as soon as there is room.
3. A head is signed at the start, every AUDIT_HEAD_S while there are rows without one, and at the end, so that the log
   of a short life verifies, too. It is published only after it is on the disk, so that a power cut cannot leave the
   hub with a head that the log does not contain.
4. While the log cannot be opened, rows are held without a hash and chained when it opens.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from device.audit.key import DeviceKey
from device.audit.log import Log
from device.audit.rows import Head, Links, head_of
from device.audit.verify import HEAD_LOST
from device.domain.audit_record import Record, record
from device.domain.time import NS_PER_S, WallTime
from device.errors import Unavailable
from device.logs import event
from device.ports.audit import FieldValue
from device.ports.clock import Clock
from device.supervisor.runtime.executor import Disk
from device.supervisor.runtime.timeouts import set_within
from device.supervisor.timing import AUDIT_HEAD_S, AUDIT_RETRY_S

_log = logging.getLogger(__name__)
MOST_BYTES = 4_000_000
OpenLog = Callable[[], tuple[DeviceKey, Log]]


class AuditWriter:
    """The port `Audit` over the log's files. Everything but the writing runs on the loop."""

    def __init__(
        self,
        open_log: OpenLog,
        disk: Disk,
        clock: Clock,
        boot_id: str,
        *,
        on_head: Callable[[Head], None],
    ) -> None:
        self._on_head = on_head
        self.head: Head | None = None
        self._open_log = open_log
        self._disk = disk
        self._clock = clock
        self._boot_id = boot_id
        self._log: Log | None = None
        self._key: DeviceKey | None = None
        self._links = Links(boot_id)
        self._early: list[tuple[Record, WallTime]] = []
        self._lines: list[bytes] = []
        self._held_bytes = 0
        self._lost = 0
        self._unsigned = False
        self._unkept: Head | None = None
        self._signed_ns = int(clock.monotonic())
        self._woken = asyncio.Event()
        self._turn = asyncio.Lock()  # one writer at a time (a cancelled waiter does not stop a write)
        self.problem = ""

    @property
    def key(self) -> str | None:
        """The public half of the device's key, for the birth certificate."""
        return None if self._key is None else self._key.public

    def note(self, what: str, rule: str | None = None, **fields: FieldValue) -> str | None:
        """Chain a row (rule 1)."""
        row, now = record(what, rule, **fields), self._clock.wall()
        self._woken.set()
        if self._held_bytes >= MOST_BYTES:
            self._lost += 1
            return None
        if self._log is None:
            self._early.append((row, now))
            self._held_bytes += 256
            return None
        return self._chain(row, now)

    async def open(self) -> None:
        """Open the log if possible; rows noted before are chained first (rule 4)."""
        await asyncio.shield(self._opening())

    async def _opening(self) -> None:
        async with self._turn:
            if self._log is None:
                await self._open()

    async def _open(self) -> None:
        try:
            key, log = await self._disk(self._open_log)
        except (Unavailable, OSError) as fault:
            self._refused(fault)
            return
        only = log.found.headless
        try:
            if only is not None:  # a power cut came between the first head and its file
                await self._disk(lambda: log.keep_head(head_of(only, key.public)))
        except (Unavailable, OSError) as fault:
            await self._disk(log.close)
            self._refused(fault)
            return
        self._log, self._key = log, key
        self._links = Links(self._boot_id, log.found.seq, log.found.prev)
        early, self._early, self._held_bytes = self._early, [], 0
        self._note_findings(log)
        for row, at in early:
            self._chain(row, at)

    async def run(self) -> None:
        """Write rows, and sign when it is due, until cancelled."""
        while True:
            await set_within(self._woken, AUDIT_RETRY_S)
            self._woken.clear()
            await self.open()
            due = self._clock.monotonic() - self._signed_ns >= AUDIT_HEAD_S * NS_PER_S
            await (self.sign() if due and self._unsigned and not self.problem else self.write())

    async def write(self) -> bool:
        """Write every row noted so far (rule 2); whether all are on the disk."""
        return await asyncio.shield(self._writing())

    async def _writing(self) -> bool:
        async with self._turn:
            return await self._write()

    async def _write(self) -> bool:
        if self._log is None:
            return False
        log, lines = self._log, self._lines
        if lines:
            self._lines = []
            try:
                await self._disk(lambda: log.append(b"".join(lines)))
            except (Unavailable, OSError) as fault:
                self._lines[:0] = lines
                self._refused(fault)
                return False
            self._held_bytes -= sum(map(len, lines))
        return await self._keep_head(log)

    async def _keep_head(self, log: Log) -> bool:
        """Put the newest head beside the log and publish it, once all rows before it are written (rule 3)."""
        head = self._unkept
        if head is not None:
            try:
                room = await self._disk(lambda: log.keep_head(head))
            except (Unavailable, OSError) as fault:
                self._refused(fault)
                return False
            self._unkept, self.head = None, head
            if room is not None:
                self.note("room", upto=room)
            self._on_head(head)
        self._works()
        return True

    async def sign(self) -> None:
        """Sign everything so far, write it, publish it (rule 3)."""
        await asyncio.shield(self._signing())

    async def _signing(self) -> None:
        async with self._turn:
            await self._sign()

    async def _sign(self) -> None:
        if self._log is None or self._key is None:
            return
        line, head = self._links.head(self._clock.wall(), self._key)
        self._hold(line)
        self._unsigned, self._signed_ns, self._unkept = False, int(self._clock.monotonic()), head
        await self._write()

    async def close(self) -> None:
        """The last rows and the last head."""
        await self.open()
        await (self.sign() if self._unsigned else self.write())
        if self._log is not None:
            await self._disk(self._log.close)
            self._log = None

    def _chain(self, row: Record, at: WallTime) -> str:
        self._hold(self._links.add(row, at))
        self._unsigned = True
        return self._links.prev

    def _hold(self, line: bytes) -> None:
        self._lines.append(line)
        self._held_bytes += len(line)

    def _note_findings(self, log: Log) -> None:
        found, now = log.found, self._clock.wall()
        if found.set_aside or found.seq == 0:
            reason = "the log before was damaged" if found.set_aside else None
            self._chain(record("began", key=self.key, reason=reason), now)
        if found.torn:
            event(_log, "audit.torn", level=logging.WARNING, bytes=found.torn)
            self._chain(record("torn", count=found.torn), now)
        if found.head_lost:
            event(_log, "audit.head_lost", level=logging.ERROR, rows=found.seq)
            self._chain(record("fault", condition=HEAD_LOST), now)
        if found.shortened and found.head is not None:
            event(_log, "audit.shortened", level=logging.ERROR, rows=found.seq, signed_upto=found.head.seq)
            self._chain(record("shortened", upto=found.head.seq), now)

    def _refused(self, fault: Exception) -> None:
        if str(fault) != self.problem:
            event(_log, "audit.unavailable", level=logging.ERROR, problem=str(fault))
        self.problem = str(fault)

    def _works(self) -> None:
        if self.problem:
            event(_log, "audit.available")
            self.problem = ""
        if self._lost and self._held_bytes < MOST_BYTES // 2:
            lost, self._lost = self._lost, 0
            self.note("lost", count=lost)
