"""A repository in a folder: a USB stick that was made with `lfr deployment publish --usb`.

The stick is untrusted: only regular files inside the folder are read, no links are followed, and every byte is
verified as from the hub.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from device.errors import Unavailable, reason_of
from device.sync.refusal import SIGNED, Refused
from device.sync.source import Missing

PIECE_BYTES = 262_144
STICK = "usb"


class UsbSource:
    """Source over `folder`, which holds `metadata` and `targets`; it need not exist yet."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def name(self) -> str:
        return STICK

    def read(self, path: str) -> Iterator[bytes]:
        if not (self._folder / "metadata").is_dir():
            raise Unavailable(f"no repository at {self._folder}: no stick, or not mounted there")
        try:
            descriptor = self._open(path)
        except FileNotFoundError as fault:
            raise Missing(f"{path} is not in {self._folder}") from fault
        except OSError as fault:
            raise Unavailable(f"{self._folder / path}: {reason_of(fault)}") from fault
        with os.fdopen(descriptor, "rb") as file:
            while True:
                try:
                    piece = file.read(PIECE_BYTES)
                except OSError as fault:
                    raise Unavailable(f"{self._folder / path}: {reason_of(fault)}") from fault
                if not piece:
                    return
                yield piece

    def close(self) -> None:
        """Nothing to close."""

    def _open(self, path: str) -> int:
        """The file, opened level by level below the folder, so that no link leads elsewhere."""
        folder = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
        *folders, name = path.split("/")
        try:
            for level in folders:
                inner = os.open(level, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=folder)
                os.close(folder)
                folder = inner
            descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
        finally:
            os.close(folder)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise Refused(SIGNED, "malformed", f"{path} on the stick is no file; make the stick again")
        return descriptor
