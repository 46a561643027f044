"""The demo's private folder: everything personal that it makes is in it, in memory where possible, and is deleted.

1. Mode 0700, under /dev/shm when that is a writable memory file system with room, else under the temporary folder.
2. Its owner holds a lock on it while it runs. A folder without an owner (the demo was killed) is deleted at the next
   start.
3. A folder that cannot be removed is an error that names it.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from device.errors import Unavailable

PREFIX = "lfr-demo-"
LOCK = ".owner"
MEMORY = Path("/dev/shm")
MADE_WITHIN_S = 60.0
ROOM_BYTES = 300_000_000  # clip (about 30 MB), broker, logs and the sealed list, with a wide margin


@contextmanager
def scratch_folder(parents: tuple[Path, ...] | None = None, keep: bool = False) -> Iterator[Path]:
    """Yield the folder; remove it at the end in every case unless `keep` is set."""
    candidates = parents if parents is not None else (MEMORY, Path(tempfile.gettempdir()))
    parent = next((p for p in candidates if usable(p)), None)
    if parent is None:
        places = " nor ".join(str(p) for p in candidates)
        raise Unavailable(f"neither {places} can be written with {ROOM_BYTES // 1_000_000} MB free; set TMPDIR to one")
    for candidate in candidates:
        sweep(candidate)
    folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
    lock = os.open(folder / LOCK, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    try:
        yield folder
    finally:
        if not keep:
            remove(folder)
        os.close(lock)


def usable(parent: Path) -> bool:
    """Whether a folder can hold the demo: it exists, is writable, has room."""
    return parent.is_dir() and os.access(parent, os.W_OK | os.X_OK) and shutil.disk_usage(parent).free > ROOM_BYTES


def sweep(parent: Path) -> list[Path]:
    """Remove folders of ours whose owner is gone (rule 2); returns them."""
    gone = []
    for folder in parent.glob(f"{PREFIX}*"):
        try:
            if folder.stat().st_uid != os.geteuid() or owned(folder):
                continue
        except FileNotFoundError:
            continue
        shutil.rmtree(folder, ignore_errors=True)
        gone.append(folder)
    return gone


def owned(folder: Path) -> bool:
    """Whether a process holds the folder's lock; a young one that has no lock yet is just being made."""
    try:
        lock = os.open(folder / LOCK, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return time.time() - folder.stat().st_mtime < MADE_WITHIN_S
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False


def remove(folder: Path) -> None:
    """Remove the folder and all in it (rule 3)."""
    shutil.rmtree(folder, ignore_errors=True)
    if folder.exists():
        raise Unavailable(f"{folder} could not be removed and may hold pictures of people; remove it by hand")
