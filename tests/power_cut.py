"""A power cut as far as Python can make one: from the n-th file operation below a folder on, nothing more is done."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

TOUCHES = frozenset({"os.rename", "os.symlink", "os.remove", "os.mkdir", "os.rmdir", "os.link", "shutil.rmtree"})


class PowerCut(BaseException):
    """Nothing catches it."""


class Power:
    """Counts operations on files below `folder`; from number `cut` on there is no power.

    An audit hook (PEP 578) raises at the n-th opening for writing, renaming, linking or deleting of a file and at every
    one after it, whoever calls, so that no clean-up code has an effect either. A hook cannot be removed: make one
    `Power` a module.
    """

    def __init__(self) -> None:
        self.folder = ""
        self.cut: int | None = None
        self.done = 0
        sys.addaudithook(self._hook)

    @contextmanager
    def over(self, folder: Path, cut: int | None) -> Iterator[None]:
        self.folder, self.cut, self.done = str(folder), cut, 0
        try:
            yield
        finally:
            self.folder = ""

    def _hook(self, name: str, args: tuple[Any, ...]) -> None:
        if not self.folder or not (name in TOUCHES or (name == "open" and self._writes(args))):
            return
        if not any(isinstance(a, str | os.PathLike) and _place(a).startswith(self.folder) for a in args[:2]):
            return
        self.done += 1
        if self.cut is not None and self.done >= self.cut:
            raise PowerCut(f"{name} {args[:2]}")

    @staticmethod
    def _writes(args: tuple[Any, ...]) -> bool:
        return isinstance(args[2], int) and bool(args[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))


def _place(path: Any) -> str:
    """A path as text; one through an open folder (proc(5), /proc/self/fd) where that folder lies."""
    text = os.fsdecode(path)
    folder, _, name = text.rpartition("/")
    return f"{Path(folder).readlink()}/{name}" if folder.startswith("/proc/self/fd/") else text
