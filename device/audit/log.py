"""The log's files: append, flush, never rewrite. JSON lines in `state_dir/audit/`, not a database.

Why lines and not SQLite: nothing in an append-only file is ever written twice, so flash keeps no second version of it;
a power cut can only tear the last line, which shows; anybody can read and check it with the tools of any system; and a
copy of the file is the evidence. Rows are never looked up, so there is no index.

1. `append` returns after fsync. A row that was only partly written is removed before anything else is written.
2. `audit.jsonl` is the newest part. At PART_BYTES, after a head, it becomes `audit-<first row>.jsonl` and a new part
   goes on with the chain. PARTS are kept; the oldest goes, and a row `room` records it: the log has a bound.
3. `head.json` holds the newest signed head, replaced whole after the log's own fsync. A log that is shorter than its
   head was cut.
4. At opening, half a line at the end (a power cut) is cut off and reported; a last row that is damaged is evidence: the
   log is set aside as `audit.jsonl.broken-N`, and a new chain begins.

One thread at a time. Raises Unavailable when the disk refuses.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from device.audit.rows import GENESIS, BadRow, Head, read
from device.durable import flush_folder, replace_file
from device.errors import Unavailable, reason_of

FOLDER = "audit"
FILE = "audit.jsonl"
HEAD_FILE = "head.json"
PART_BYTES = 8_000_000  # some three weeks of a device that runs day and night
PARTS = 12
TAIL_BYTES = 65_536  # a row is under 1 kB


@dataclass(frozen=True, slots=True)
class Found:
    """The log at its opening. seq, prev: where it continues; torn: bytes cut off; head: of rule 3."""

    seq: int = 0
    prev: str = GENESIS
    torn: int = 0
    set_aside: bool = False
    head: Head | None = None

    @property
    def shortened(self) -> bool:
        """Whether rows are missing that were signed once (rule 3)."""
        return self.head is not None and self.head.seq >= self.seq


class Log:
    """The log on disk."""

    def __init__(self, folder: Path, *, part_bytes: int = PART_BYTES, parts: int = PARTS) -> None:
        self._folder = folder
        self._part_bytes = part_bytes
        self._parts = parts
        self._file = -1
        self._size = 0
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.found = self._open()
        except OSError as fault:
            raise self._cannot(fault) from fault

    def append(self, lines: bytes) -> None:
        """Write whole lines and flush them to the medium (rule 1)."""
        try:
            os.ftruncate(self._file, self._size)
            done = 0
            while done < len(lines):
                done += os.pwrite(self._file, lines[done:], self._size + done)
            os.fsync(self._file)
        except OSError as fault:
            raise self._cannot(fault) from fault
        self._size += len(lines)

    def keep_head(self, head: Head) -> int | None:
        """Replace the head file (rule 3), and begin a new part when the old one is full (rule 2).

        Returns the first row that is still kept when older ones had to go, else None.
        """
        try:
            replace_file(self._folder / HEAD_FILE, msgspec.json.encode(head) + b"\n")
            return self._next_part() if self._size >= self._part_bytes else None
        except OSError as fault:
            raise self._cannot(fault) from fault

    def close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _open(self) -> Found:
        file = self._folder / FILE
        self._file = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        size = os.fstat(self._file).st_size
        tail = os.pread(self._file, TAIL_BYTES, max(0, size - TAIL_BYTES))
        whole = tail.rfind(b"\n") + 1
        torn = len(tail) - whole
        self._size = size - torn
        if torn:
            os.ftruncate(self._file, self._size)
            os.fsync(self._file)
        head = read_head(self._folder)
        if not whole:
            return self._after_a_part(torn, head)
        try:
            last = read(tail[:whole].rstrip(b"\n").rsplit(b"\n", 1)[-1])
        except BadRow:
            self._set_aside()
            return Found(torn=torn, set_aside=True)
        return Found(last.seq + 1, last.hash, torn, head=head)

    def _after_a_part(self, torn: int, head: Head | None) -> Found:
        """Continue an empty newest part where the part before it ended."""
        older = older_parts(self._folder)
        if not older:
            return Found(torn=torn, head=head)
        try:
            last = read(older[-1].read_bytes().rstrip(b"\n").rsplit(b"\n", 1)[-1])
        except BadRow:
            return Found(torn=torn, set_aside=True)
        return Found(last.seq + 1, last.hash, torn, head=head)

    def _set_aside(self) -> None:
        self.close()
        number = 1 + len(list(self._folder.glob(f"{FILE}.broken-*")))
        (self._folder / FILE).rename(self._folder / f"{FILE}.broken-{number}")
        for part in older_parts(self._folder):
            part.rename(part.with_name(f"{part.name}.broken-{number}"))
        (self._folder / HEAD_FILE).unlink(missing_ok=True)
        self._file = os.open(self._folder / FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._size = 0

    def _next_part(self) -> int | None:
        first = first_row(self._folder / FILE)
        self.close()
        (self._folder / FILE).rename(self._folder / f"audit-{first:010d}.jsonl")
        self._file = os.open(self._folder / FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._size = 0
        flush_folder(self._folder)
        older = older_parts(self._folder)
        for part in older[: -self._parts]:
            part.unlink()
        return first_row(older[-self._parts]) if len(older) > self._parts else None

    def _cannot(self, fault: OSError) -> Unavailable:
        return Unavailable(f"audit log {self._folder}: {reason_of(fault)}; free space, or make the folder writable")


def older_parts(folder: Path) -> list[Path]:
    """Full parts, oldest first."""
    return sorted(folder.glob("audit-*.jsonl"))


def lines_of(file: Path) -> Iterator[bytes]:
    """Every line of one part with its line feed; the last may lack it."""
    with file.open("rb") as lines:
        yield from lines


def first_row(part: Path) -> int:
    """Number of the first row of a part; 0 when it has none."""
    for line in lines_of(part):
        return read(line.rstrip(b"\n")).seq
    return 0


def read_head(place: Path) -> Head | None:
    """The signed head in a folder or a file; None when there is none that can be read."""
    file = place / HEAD_FILE if place.is_dir() else place
    try:
        return msgspec.json.decode(file.read_bytes(), type=Head)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return None
