"""Power cuts that keep flushed data only: a program's writes are recorded, and replayed up to any of them.

`recorded` runs a program with recorder.c loaded before it. `Disk.after` gives the folder as it is after the first n
records and a power cut: a file has the content that it had when it was last flushed, and a name is there if its folder
was flushed since. That is the least that POSIX promises; a real file system keeps more, in any order.
"""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

HEAD = struct.Struct("<4IQ")
WRITE, FLUSH, CREATE, RENAME, UNLINK, TRUNCATE, LINK, MKDIR, MARK, SYNC, SYMLINK = range(1, 12)


@dataclass(frozen=True)
class Operation:
    """One record; kinds as in recorder.c."""

    kind: int
    path: str
    other: str
    data: bytes
    offset: int


@dataclass
class _File:
    content: bytearray = field(default_factory=bytearray)
    flushed: bytes = b""
    folder: bool = False
    link: str = ""


@dataclass
class Disk:
    """What a program did below `folder`, in order."""

    folder: Path
    operations: list[Operation]

    def cuts(self) -> Iterator[tuple[int, tuple[str, ...]]]:
        """Every number of records after which the power may fail, with the marks before it."""
        marks: list[str] = []
        for number, operation in enumerate(self.operations):
            if operation.kind == MARK:
                marks.append(operation.data.decode())
            else:
                yield number, tuple(marks)
        yield len(self.operations), tuple(marks)

    def after(self, number: int, place: Path, *, torn: bool = False) -> Path:
        """The folder as the first `number` records and a power cut leave it, made anew at `place`.

        torn  if the last record is a write, half of it has reached the disk
        """
        now: dict[str, _File] = {}
        safe: dict[str, _File] = {}
        for operation in self.operations[:number]:
            _apply(operation, now, safe)
        last = self.operations[number - 1] if number else None
        if torn and last is not None and last.kind == WRITE:
            now[last.path].flushed = bytes(now[last.path].content[: last.offset + len(last.data) // 2])
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        for path, file in sorted(safe.items()):
            target = place / Path(path).relative_to(self.folder)
            if not target.parent.is_dir():
                continue
            if file.folder:
                target.mkdir()
            elif file.link:
                target.symlink_to(file.link)
            else:
                target.write_bytes(file.flushed)
        return place


def _apply(operation: Operation, now: dict[str, _File], safe: dict[str, _File]) -> None:
    """One record: `now` is what programs see, `safe` what a power cut leaves."""
    path, kind = operation.path, operation.kind
    if kind in (CREATE, MKDIR):
        now[path] = _File(folder=kind == MKDIR)
    elif kind == WRITE:
        content = now[path].content
        content.extend(bytes(max(0, operation.offset - len(content))))
        content[operation.offset : operation.offset + len(operation.data)] = operation.data
    elif kind == TRUNCATE:
        content = now[path].content
        del content[operation.offset :]
        content.extend(bytes(operation.offset - len(content)))
    elif kind == SYMLINK:
        now[path] = _File(link=operation.other)
    elif kind == RENAME:
        _rename(path, operation.other, now, safe)
    elif kind == SYNC:
        for file in now.values():
            file.flushed = bytes(file.content)
        safe.clear()
        safe.update(now)
    elif kind == LINK:
        now[operation.other] = now[path]
    elif kind == UNLINK:
        now.pop(path, None)
    elif kind == FLUSH and path in now and not now[path].folder:
        now[path].flushed = bytes(now[path].content)
    elif kind == FLUSH:
        for known in [known for known in safe if known.rpartition("/")[0] == path]:
            del safe[known]
        safe.update({known: file for known, file in now.items() if known.rpartition("/")[0] == path})


def _rename(path: str, to: str, now: dict[str, _File], safe: dict[str, _File]) -> None:
    """A folder takes what is in it along; after a power cut it is in that folder under whichever name has survived."""
    now[to] = now.pop(path)
    if now[to].folder:
        for known in [known for known in now if known.startswith(f"{path}/")]:
            now[to + known.removeprefix(path)] = now.pop(known)
        for known in [known for known in safe if known.startswith(f"{path}/")]:
            safe[to + known.removeprefix(path)] = safe[known]


def recorded(program: str, scratch: Path) -> Disk:
    """Run `python -m program FOLDER` to its end and return what it did below that folder."""
    recorder, folder, log = scratch / "recorder.so", scratch / "folder", scratch / "log"
    folder.mkdir()
    source = Path(__file__).with_name("recorder.c")
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", recorder, source, "-ldl", "-pthread"], check=True)
    mark, unused = os.pipe()
    variables = {"FOLDER": str(folder), "LOG": str(log), "MARK": str(unused)}
    environment = {**os.environ, **{f"LOST_WRITES_{name}": text for name, text in variables.items()}}
    command = [sys.executable, "-m", program, str(folder)]
    try:
        subprocess.run(command, env={**environment, "LD_PRELOAD": str(recorder)}, pass_fds=(unused,), check=True)
    finally:
        os.close(mark)
        os.close(unused)
    return Disk(folder, list(_operations(log.read_bytes())))


def mark(text: str) -> None:
    """In the recorded program: from now on it relies on this."""
    os.write(int(os.environ["LOST_WRITES_MARK"]), text.encode())


def _operations(log: bytes) -> Iterator[Operation]:
    place = 0
    while place < len(log):
        kind, first, second, size, offset = HEAD.unpack_from(log, place)
        place += HEAD.size
        parts = []
        for length in (first, second, size):
            parts.append(log[place : place + length])
            place += length
        yield Operation(kind, parts[0].decode(), parts[1].decode(), parts[2], offset)
