"""Whether the state folder takes writes: asked of the mount, and tried with a small file.

eMMC and SD cards die by turning read-only, which the mount then states; a full disk, a quota or a card that refuses
shows when something is written. The file is not flushed: the audit log and the outbox, which are, report what only a
flush shows.
"""

from __future__ import annotations

import os
from pathlib import Path

from device.errors import reason_of

TRIED = ".write-test"
CONTENT = b"x" * 512


def refusal(folder: Path, *, write: bool = True) -> str:
    """Why a folder takes no writes; empty when it takes them. write: also write a small file, and delete it."""
    try:
        if os.statvfs(folder).f_flag & os.ST_RDONLY:
            return "it is mounted read-only"
        if write:
            _try_file(folder / TRIED)
    except OSError as fault:
        return reason_of(fault)
    return ""


def _try_file(file: Path) -> None:
    """Write a file and delete it. Raises OSError; what was begun is deleted then, too."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(file, flags, 0o600)
    try:
        left = CONTENT
        while left:
            left = left[os.write(descriptor, left) :]
    finally:
        os.close(descriptor)
        file.unlink(missing_ok=True)
