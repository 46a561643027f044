"""What a machine does until its power is cut: it checks what the last cut left, then writes on. A program, run inside.

`cut_life.py DISK SCRATCH`: state on DISK, promises in SCRATCH/promises, which lies on the host and is written at once.
Each round keeps an alert and erases the one before it, signs rows of the audit log, and updates a device to a release.

1. A promise is written after the call that makes it has returned, an intention before that call.
2. A finding is a line of SCRATCH/findings; a check that ends is a line of SCRATCH/progress.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import sys
from datetime import timedelta
from pathlib import Path

from device.audit.key import device_key, read_public
from device.audit.log import Log
from device.audit.verify import verify
from device.domain.time import wall
from device.edges.clock.system import SystemClock
from device.errors import LfrError
from device.outbox.message import OutboxMessage
from device.outbox.retry import MessageClass
from device.outbox.store import Outbox
from device.supervisor.audit.writer import AuditWriter
from device.supervisor.runtime.executor import DiskInline
from device.update.updater import attempt
from tests.unit.update.conftest import board_at, bundle, manifest

OLD, NEW = "0.2.0", "0.3.0"


class Life:
    """One start of the machine."""

    def __init__(self, disk: Path, scratch: Path) -> None:
        self._state, self._boards, self._scratch = disk / "state", disk / "boards", scratch
        self._state.mkdir(exist_ok=True)
        self._boards.mkdir(exist_ok=True)
        os.sync()
        self._promised = (scratch / "promises").read_text().splitlines() if (scratch / "promises").exists() else []
        self._round = 1 + max((int(row.split()[1]) for row in self._promised if row.startswith("round ")), default=0)

    def check(self) -> list[str]:
        """What is not as it was promised."""
        found: list[str] = []
        for name, part in (("outbox", self._outbox), ("audit", self._audit), ("update", self._update)):
            try:
                found += part()
            except (
                LfrError,
                sqlite3.Error,
                OSError,
                ValueError,
                LookupError,
                TypeError,
            ) as fault:
                found.append(f"{name}: {type(fault).__name__}: {fault}")
        return found

    def _of(self, word: str) -> set[str]:
        return {row.split()[1] for row in self._promised if row.startswith(f"{word} ")}

    def _outbox(self) -> list[str]:
        box = self._open_outbox()
        held = set(box.alerts_held())
        box.close()
        lost = self._of("kept") - self._of("erasing") - held
        undeleted = self._of("gone") & held
        ghosts = held - self._of("keeping")
        kinds = {"lost": lost, "undeleted": undeleted, "ghosts": ghosts}
        return [f"{kind}: {sorted(which)}" for kind, which in kinds.items() if which]

    def _audit(self) -> list[str]:
        promised = max((int(number) for number in self._of("row")), default=-1)
        if promised < 0:
            return []
        asyncio.run(self._rows("after"))
        found = verify(self._state / "audit", read_public((self._state / "device.pub").read_text()))
        good = found.ok and (found.last or 0) >= promised
        return [] if good else [f"audit: {found}, promised to row {promised}"]

    def _update(self) -> list[str]:
        found = []
        for number in self._of("begin"):
            place = self._boards / number
            if f"removing {number}" in self._promised:
                shutil.rmtree(place, ignore_errors=True)
                continue
            board = board_at(place)
            board.hub.kept_root = (self._scratch / f"root-{number}.json").read_bytes()
            current, committed = board.named()
            if current not in (OLD, NEW) or committed not in (OLD, NEW):
                found.append(f"update {number}: current {current}, committed {committed}")
            if f"done {number}" in self._promised and committed != NEW:
                found.append(f"update {number}: was committed and is {committed}")
            attempt(board.updater(), board.folder / "stick")
            if board.named() != (NEW, NEW):
                found.append(f"update {number}: the next run ended with {board.named()}")
        return found

    def go_on(self) -> None:
        """Rounds, until the power fails."""
        while True:
            self._note(f"round {self._round}")
            self._alert(str(self._round))
            asyncio.run(self._rows(f"round-{self._round}"))
            self._install(str(self._round))
            self._round += 1

    def _alert(self, name: str) -> None:
        box = self._open_outbox()
        before = sorted(box.alerts_held())
        self._note(f"keeping {name}")
        for kind in (MessageClass.ALERT, MessageClass.PROBE):
            box.put(
                OutboxMessage(
                    id=f"{name}-{kind.value}",
                    kind=kind,
                    topic="t",
                    payload=b"x" * 3000,
                    content_type="c",
                    delete_by=wall(SystemClock().wall() + timedelta(days=1)),
                    alert_id=name,
                )
            )
        box.logged([name], on_disk=True)
        self._note(f"kept {name}")
        for old in before[:-1]:
            self._note(f"erasing {old}")
            box.erase_alert(old, "false_alert")
            self._note(f"gone {old}")
        box.close()

    async def _rows(self, boot: str) -> None:
        writer = AuditWriter(
            lambda: (device_key(self._state), Log(self._state / "audit")),
            DiskInline(),
            SystemClock(),
            boot,
            on_head=lambda head: self._note(f"row {head.seq}"),
        )
        await writer.open()
        writer.note("started", version="1")
        await writer.sign()
        for number in range(3):
            writer.note("counts", "R04", faces_seen=number, discarded=number, alerted=0, alerted_by_worker=0)
            await writer.write()
            await writer.sign()
        await writer.close()

    def _install(self, number: str) -> None:
        board = board_at(self._boards / number)
        inbox = board.hub.offer(bundle(manifest(NEW)))
        root = self._scratch / f"root-{number}.json"
        root.with_suffix(".new").write_bytes(board.hub.root())
        root.with_suffix(".new").rename(root)
        os.sync()
        self._note(f"begin {number}")
        attempt(board.updater(), inbox)
        self._note(f"done {number}")
        for old in sorted(self._boards.iterdir(), key=lambda place: int(place.name))[:-3]:
            self._note(f"removing {old.name}")
            shutil.rmtree(old)

    def _open_outbox(self) -> Outbox:
        return Outbox(self._state / "outbox.sqlite", SystemClock().wall(), log_first=True)

    def _note(self, row: str) -> None:
        self._promised.append(row)
        append(self._scratch / "promises", row)


def append(file: Path, row: str) -> None:
    """A line on the host's disk; it is there when this returns."""
    with file.open("a") as out:
        out.write(f"{row}\n")


if __name__ == "__main__":
    scratch = Path(sys.argv[2])
    life = Life(Path(sys.argv[1]), scratch)
    for finding in life.check():
        append(scratch / "findings", finding)
    append(scratch / "progress", "checked")
    life.go_on()
