"""The log's files: append, flush, never rewrite. JSON lines in `state_dir/audit/`, not a database.

Why lines and not SQLite: nothing in an append-only file is ever written twice, so flash keeps no second version of it;
a power cut can only tear the last line, which shows; anybody can read and check it with the tools of any system; and a
copy of the file is the evidence. Rows are never looked up, so there is no index.

1. `append` returns after fsync. A row that was only partly written is removed before anything else is written. The
   first rows of a part are put in place as a whole, so that a new log has a signed head or no row.
2. `audit.jsonl` is the newest part. At PART_BYTES, after a head, it becomes `audit-<first row>.jsonl` and a new part
   goes on with the chain. PARTS are kept; the oldest goes, and a row `room` records it: the log has a bound.
3. `head.json` holds the newest signed head, replaced whole after the log's own fsync. A log that is shorter than its
   head was cut. A power cut can leave the first head without its file (`Found.headless`, put right at the next
   opening), and never a file that cannot be read.
4. At opening, half a line at the end (a power cut) is cut off and reported; a last row that is damaged is evidence: the
   log is set aside as `audit.jsonl.broken-N`, and a new chain begins.

One thread at a time. Raises Unavailable when the disk refuses.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from device.audit.rows import GENESIS, BadRow, Head, Row, read
from device.durable import flush_folder, make_folder, replace_file
from device.errors import BadData, Unavailable, reason_of

FOLDER = "audit"
FILE = "audit.jsonl"
HEAD_FILE = "head.json"
PART_BYTES = 8_000_000  # a day of somebody in every ten seconds, day and night; a week of nobody
PARTS = 32  # the ceiling of retention, in such days: 256 MB
TAIL_BYTES = 65_536  # a row is under 1 kB


@dataclass(frozen=True, slots=True)
class Found:
    """The log at its opening. seq, prev: where it continues; torn: bytes cut off; head: of rule 3.

    headless    the log's only head, whose file is missing
    head_lost   a head file that cannot be read, or is missing though there was more than one head
    """

    seq: int = 0
    prev: str = GENESIS
    torn: int = 0
    set_aside: bool = False
    head: Head | None = None
    headless: Row | None = None
    head_lost: bool = False

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
            make_folder(folder)
            self.found = self._open()
        except OSError as fault:
            raise self._cannot(fault) from fault

    def append(self, lines: bytes) -> None:
        """Write whole lines and flush them to the medium (rule 1)."""
        try:
            if self._size == 0:
                self._begin(lines)
                return
            os.ftruncate(self._file, self._size)
            done = 0
            while done < len(lines):
                done += os.pwrite(self._file, lines[done:], self._size + done)
            os.fsync(self._file)
        except OSError as fault:
            raise self._cannot(fault) from fault
        self._size += len(lines)

    def _begin(self, lines: bytes) -> None:
        """The first rows of a part, whole or not at all (rule 1)."""
        file = self._folder / FILE
        replace_file(file, lines)
        self.close()
        self._file = os.open(file, os.O_RDWR | os.O_CLOEXEC)
        self._size = len(lines)

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
        flush_folder(self._folder)
        size = os.fstat(self._file).st_size
        tail = os.pread(self._file, TAIL_BYTES, max(0, size - TAIL_BYTES))
        whole = tail.rfind(b"\n") + 1
        torn = len(tail) - whole
        self._size = size - torn
        if torn:
            os.ftruncate(self._file, self._size)
            os.fsync(self._file)
        try:
            head, lost = read_head(self._folder), False
        except BadData:
            head, lost = None, True
        found = self._end_of(tail[:whole], torn, head)
        if head is None and found.seq and not found.set_aside:
            first, more = self._heads()
            return replace(found, headless=None if lost or more else first, head_lost=lost or more)
        return replace(found, head_lost=lost)

    def _end_of(self, tail: bytes, torn: int, head: Head | None) -> Found:
        """Where the log goes on, after the rows in `tail`."""
        if not tail:
            return self._after_a_part(torn, head)
        try:
            last = read(tail.rstrip(b"\n").rsplit(b"\n", 1)[-1])
        except BadRow:
            self._set_aside()
            return Found(torn=torn, set_aside=True)
        return Found(last.seq + 1, last.hash, torn, head=head)

    def _heads(self) -> tuple[Row | None, bool]:
        """The first head in the log, and whether there are more than this one. For a log without its head file."""
        if older_parts(self._folder):
            return None, True
        rows: list[Row] = []
        for line in lines_of(self._folder / FILE):
            try:
                row = read(line.rstrip(b"\n"))
            except BadRow:
                continue
            if row.sig is not None:
                rows.append(row)
        return (rows[0] if rows else None), len(rows) > 1

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
        flush_folder(self._folder)
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
    """The signed head in a folder or a file; None when there is none. Raises BadData when it cannot be read."""
    file = place / HEAD_FILE if place.is_dir() else place
    try:
        return msgspec.json.decode(file.read_bytes(), type=Head)
    except FileNotFoundError:
        return None
    except OSError as fault:
        raise BadData(f"{file.name} cannot be read: {reason_of(fault)}") from fault
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as fault:
        raise BadData(f"{file.name} holds no signed head: {fault}") from fault
