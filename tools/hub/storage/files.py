"""Atomic writing of the hub's files, with their access modes.

1. A file is written by `device.durable`: the old content stays until the new one is on the disk.
2. `Batch` writes several so and renames them in order once all of them are on the disk: a disk that fills up in the
   middle leaves every one of the old.
3. PRIVATE is for the hub's own user and the default, ciphertext included; PUBLIC is readable by everybody.
4. A file that cannot be written is Unavailable, with the path and what to do, and leaves nothing half-written behind.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

from device.durable import PRIVATE, flush_folder, replace_file, stage_file
from device.errors import Unavailable

PUBLIC = 0o644
FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
CLOSED = frozenset({errno.EROFS, errno.EACCES, errno.EPERM})


def write_file(path: Path, content: bytes, *, mode: int = PRIVATE, synced: bool = True) -> None:
    """Write one file (rules 1, 3 and 4). synced: wait for the disk (for many files: sync once, after the last)."""
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, content, mode=mode, synced=synced)


class Batch:
    """Several files together (rule 2); a context manager: the end of the block renames, an exception discards them."""

    def __init__(self) -> None:
        self._staged: list[tuple[Path, Path]] = []

    def put(self, path: Path, content: bytes, *, mode: int = PRIVATE) -> None:
        """Write a file that appears at the end of the block, after those that were put before it."""
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._staged.append((stage_file(path, content, mode=mode), path))

    def __enter__(self) -> Batch:
        return self

    def __exit__(self, kind: type[BaseException] | None, fault: BaseException | None, at: TracebackType | None) -> None:
        for fresh, path in self._staged:
            if kind is not None:
                with contextlib.suppress(OSError):
                    fresh.unlink(missing_ok=True)
                continue
            with writing(path):
                fresh.replace(path)
                flush_folder(path.parent)


@contextlib.contextmanager
def writing(place: Path) -> Iterator[None]:
    """OSError in the block becomes Unavailable with the place and what to do (rule 4)."""
    try:
        yield
    except OSError as fault:
        raise cannot_write(place, fault) from fault


def cannot_write(place: Path, fault: OSError) -> Unavailable:
    """The message for a path that cannot be written."""
    what = "look at the disk (dmesg), then run the command again"
    if fault.errno in FULL:
        what = f"make room there (df -h {place.parent}), then run the command again; what was there before is unchanged"
    elif fault.errno in CLOSED:
        what = "it must be writable for the user who runs this"
    return Unavailable(f"{place} cannot be written: {fault.strerror or fault}; {what}")


def erase_secret(path: Path) -> bool:
    """Overwrite a secret's file, then delete it; whether there was one. Unavailable when it is still there."""
    try:
        descriptor = os.open(path, os.O_WRONLY)
        try:
            os.pwrite(descriptor, bytes(os.fstat(descriptor).st_size), 0)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        path.unlink()
        flush_folder(path.parent)
    except FileNotFoundError:
        return False
    except OSError as fault:
        raise Unavailable(f"{path} is still there ({fault.strerror}); delete it by hand") from fault
    return True
