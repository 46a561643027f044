"""Files that are whole after a power cut: flushed before they are renamed, and their folder flushed after."""

from __future__ import annotations

import os
from pathlib import Path


def flush(file: Path) -> None:
    """Everything of a file is on the disk (fsync(2))."""
    descriptor = os.open(file, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def flush_folder(folder: Path) -> None:
    """Every name in a folder is on the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def replace_file(file: Path, content: bytes) -> None:
    """`file` holds the old content or the new, whenever the power fails."""
    fresh = file.with_name(file.name + ".new")
    fresh.write_bytes(content)
    flush(fresh)
    fresh.replace(file)
    flush_folder(file.parent)
