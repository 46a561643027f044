"""A disk of an emulated machine that loses what was not flushed when the power is cut.

1. QEMU writes every request of the guest into a log (its driver blklogwrites, in the format of the kernel's
   dm-log-writes), flushes among them. What the image file itself holds after a cut is not looked at.
2. `power_fails` makes the image anew: as it was at the boot, and every write before the last flush. Of the writes after
   it each survives with the given chance, whatever was written before it.
"""

from __future__ import annotations

import random
import shutil
import struct
import subprocess
from dataclasses import dataclass
from pathlib import Path

MAGIC = 0x6A736677736872
SUPER, ENTRY = struct.Struct("<QQQI"), struct.Struct("<QQQQ")
SECTOR = 512
FLUSH, FUA, DISCARD = 1, 2, 4


@dataclass(frozen=True, slots=True)
class Write:
    """One request: sectors of data at a sector; a flush has none."""

    sector: int
    data: bytes
    flags: int


class LossyDisk:
    """An ext4 file system in one image."""

    def __init__(self, folder: Path, size_mb: int) -> None:
        self._now, self._boot, self._log = folder / "disk.img", folder / "disk-at-boot.img", folder / "disk.log"
        with self._now.open("wb") as image:
            image.truncate(size_mb * 2**20)
        subprocess.run(["mkfs.ext4", "-q", "-F", str(self._now)], check=True)

    def options(self) -> tuple[str, ...]:
        """QEMU's, for one boot."""
        subprocess.run(["cp", "--sparse=always", str(self._now), str(self._boot)], check=True)
        self._log.write_bytes(b"")
        nodes = (
            f"driver=file,filename={self._now},node-name=image",
            f"driver=file,filename={self._log},node-name=log",
            "driver=blklogwrites,file=image,log=log,node-name=logged",
        )
        given = [word for node in nodes for word in ("-blockdev", node)]
        return (*given, "-device", "virtio-blk-pci,drive=logged")

    def power_fails(self, chance: random.Random, kept: float) -> tuple[int, int]:
        """Make the image as a cut leaves it (rule 2); how many writes were flushed, and how many lost."""
        writes = read_log(self._log)
        last = max((number for number, one in enumerate(writes) if one.flags & FLUSH), default=-1)
        durable = writes[: last + 1]
        later = [one for one in writes[last + 1 :] if one.flags & FUA or chance.random() < kept]
        self._apply([*durable, *later])
        return len(durable), len(writes) - len(durable) - len(later)

    def forget_all(self) -> None:
        """A disk that lies: the image as it was at the boot, although the guest flushed."""
        self._apply([])

    def _apply(self, writes: list[Write]) -> None:
        shutil.move(self._boot, self._now)
        with self._now.open("r+b") as image:
            for one in writes:
                image.seek(one.sector * SECTOR)
                image.write(one.data)


def read_log(file: Path) -> list[Write]:
    """Every request in order; the log of a killed QEMU may end in half of one. ValueError when it is no log."""
    log = file.read_bytes()
    magic, version, _, sector_bytes = SUPER.unpack_from(log, 0)
    if (magic, version, sector_bytes) != (MAGIC, 1, SECTOR):
        raise ValueError(f"{file} is no log of version 1 with sectors of {SECTOR} bytes")
    found, place = [], SECTOR
    while place + SECTOR <= len(log):
        sector, count, flags, _ = ENTRY.unpack_from(log, place)
        size = 0 if flags & DISCARD else count * SECTOR
        place += SECTOR
        if (sector, count, flags) == (0, 0, 0) or place + size > len(log):
            break
        found.append(Write(sector, log[place : place + size], flags))
        place += size
    return found
