"""The status file: the device's present state, for `lfr status` and `lfr why`; replaced atomically.

It lies in the run folder (memory, gone at power-off) and holds no personal data: states, conditions, counts.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from pathlib import Path
from types import TracebackType
from typing import Any

from device.durable import replace_file
from device.errors import Unavailable, reason_of

FILE = "status.json"
MODE = 0o644
"""Any user who may enter the run folder reads it: `lfr status` needs no rights of its own."""
LOCK = "lock"
LOCK_TRIES = 5
LOCK_WAIT_S = 0.05


def write(run_dir: Path, status: dict[str, Any]) -> None:
    """Replace the file in one step: a reader sees the old or the new one. Raises Unavailable."""
    content = json.dumps(status, ensure_ascii=False).encode()
    try:
        replace_file(run_dir / FILE, content, mode=MODE, synced=False)  # volatile: the folder lies in memory
    except OSError as fault:
        raise Unavailable(f"{run_dir / FILE} cannot be written: {reason_of(fault)}") from fault


def remove(run_dir: Path) -> None:
    """Delete the file: no supervisor runs here any more."""
    (run_dir / FILE).unlink(missing_ok=True)
    (run_dir / f".{FILE}.new").unlink(missing_ok=True)


def _lock(file: int) -> None:
    """Take the lock. The eraser holds it for an instant now and then, so one refusal is retried."""
    for _ in range(LOCK_TRIES - 1):
        try:
            return fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(LOCK_WAIT_S)
    return fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


class InstanceLock:
    """Holds the run folder: a second supervisor there is refused. The kernel releases the lock with the process."""

    def __init__(self, run_dir: Path) -> None:
        self._run_dir = run_dir

    def __enter__(self) -> InstanceLock:
        try:
            self._run_dir.mkdir(parents=True, exist_ok=True, mode=0o750)
            # The folder is the service's own, and root locks it, too (`lfr doctor gpio`): no link is followed.
            flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
            self._file = os.open(self._run_dir / LOCK, flags, 0o600)
            _lock(self._file)
        except BlockingIOError as fault:
            os.close(self._file)
            raise Unavailable(f"a supervisor already runs in {self._run_dir}; stop it first") from fault
        except OSError as fault:
            raise Unavailable(f"run folder {self._run_dir} cannot be used: {reason_of(fault)}") from fault
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        remove(self._run_dir)
        (self._run_dir / LOCK).unlink(missing_ok=True)
        os.close(self._file)
