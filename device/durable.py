"""Atomic writing: after a power cut at any moment a file holds its old content or its new one.

1. New content goes to `.NAME.new` in the same folder and is flushed (fsync(2)) before it takes its name; then the
   folder is flushed, because a rename that is only in memory is undone by a power cut.
2. A failed write leaves the old file untouched and deletes the new one.
3. `synced=False` drops both flushes: the file is still never half-written for a reader, but after a power cut it may be
   old or empty. For run folders in memory, for caches, and for writers that flush once after many files.
4. Modes are set before the first byte. Standard library only: `device.eraser` runs with nothing else installed.

`engines.places.placing` writes prepared models, on a floor that may not import this one, and does not flush: those
files are checked against their SHA-256 each time they are opened, and made again when they differ.
"""

from __future__ import annotations

import os
from pathlib import Path

PRIVATE = 0o600


def flush(file: Path) -> None:
    """Wait until the content of a file is on the disk (fsync(2))."""
    _flush(file, os.O_RDONLY)


def flush_folder(folder: Path) -> None:
    """Wait until the names in a folder are on the disk."""
    _flush(folder, os.O_RDONLY | os.O_DIRECTORY)


def make_folder(folder: Path, mode: int = 0o700) -> None:
    """Make a folder and the ones above it that are missing; each name is on the disk when this returns.

    mode  of `folder` itself. Raises OSError.
    """
    if folder.is_dir():
        return
    if folder.parent != folder:
        make_folder(folder.parent)
    folder.mkdir(mode=mode, exist_ok=True)
    flush_folder(folder.parent)


def stage_file(file: Path, content: bytes, *, mode: int = PRIVATE, synced: bool = True) -> Path:
    """Write `content` beside `file` and return its path; `Path.replace` and `flush_folder` are still to be done.

    Raises OSError and leaves nothing behind. `replace_file` does all three steps.
    """
    fresh = file.with_name(f".{file.name}.new")
    _write(fresh, content, mode=mode, synced=synced)
    return fresh


def replace_file(file: Path, content: bytes, *, mode: int = PRIVATE, synced: bool = True) -> None:
    """Replace the content of `file`, or make it (rules 1 to 4). Raises OSError; then the old file is still there."""
    stage_file(file, content, mode=mode, synced=synced).replace(file)
    if synced:
        flush_folder(file.parent)


def create_file(file: Path, content: bytes, *, mode: int = PRIVATE, synced: bool = True) -> bool:
    """Make `file`, whole, if it does not exist; False when another process made it first. Raises OSError."""
    fresh = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        _write(fresh, content, mode=mode, synced=synced)
        os.link(fresh, file)
    except FileExistsError:
        return False
    finally:
        fresh.unlink(missing_ok=True)
    if synced:
        flush_folder(file.parent)
    return True


def _write(fresh: Path, content: bytes, *, mode: int, synced: bool) -> None:
    """A file with this content, also over one that a killed process left; removed again when it fails (rule 2)."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        with os.fdopen(os.open(fresh, flags, PRIVATE), "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(content)
            file.flush()
            if synced:
                os.fsync(file.fileno())
    except OSError:
        fresh.unlink(missing_ok=True)
        raise


def _flush(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
