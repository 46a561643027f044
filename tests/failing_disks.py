"""Disks that fail for real: a small file system that turns read-only or fills.

Root mounts one. Any other user has the rights to a folder taken away instead, which refuses every write as well. Root
that may not mount can have neither, and the tests fail.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

SMALL_BYTES = 2_000_000


class FailingDisk(Protocol):
    """The disk of `folder`."""

    folder: Path

    def turn_read_only(self) -> None: ...

    def fill(self) -> None: ...

    def mend(self) -> None: ...


@contextmanager
def failing_disk(folder: Path) -> Iterator[FailingDisk]:
    """A disk at `folder`, until the end of the block."""
    folder.mkdir(parents=True, exist_ok=True)
    disk = _Mounted(folder) if os.geteuid() == 0 else _Forbidden(folder)
    try:
        yield disk
    finally:
        disk.close()


class _Mounted:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._filler = folder / "filler"
        _run("mount", "-t", "tmpfs", "-o", f"size={SMALL_BYTES}", "tmpfs", str(folder))

    def turn_read_only(self) -> None:
        """As the kernel does it with a card that reports errors."""
        _run("mount", "-o", "remount,ro", str(self.folder))

    def fill(self) -> None:
        """Until there is no byte left."""
        with self._filler.open("ab", buffering=0) as file:
            for size in (65536, 4096, 512, 1):
                with suppress(OSError):
                    while file.write(b"x" * size):
                        continue

    def mend(self) -> None:
        """Writable, with room."""
        _run("mount", "-o", "remount,rw", str(self.folder))
        self._filler.unlink(missing_ok=True)

    def close(self) -> None:
        _run("umount", "-l", str(self.folder))


class _Forbidden:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def turn_read_only(self) -> None:
        for path in [*self.folder.rglob("*"), self.folder]:
            if not path.is_symlink():
                path.chmod(0o500 if path.is_dir() else 0o400)

    fill = turn_read_only

    def mend(self) -> None:
        self.folder.chmod(0o700)
        for path in self.folder.rglob("*"):
            if not path.is_symlink():
                path.chmod(0o700 if path.is_dir() else 0o600)

    close = mend


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)
