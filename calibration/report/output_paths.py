"""Checks that a result can be written to its place, before minutes are spent on measuring it."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path

from device.errors import Unavailable
from engines.error_text import error_text


def require_place(folder: Path, option: str) -> None:
    """Try to write in `folder`, or where it would be made; nothing is left there. Raises Unavailable."""
    missing = [place for place in (folder, *folder.parents) if not place.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(b"0")
            probe.flush()
    except OSError as fault:
        raise Unavailable(f"{folder}: {error_text(fault)}; name another place with {option}") from fault
    finally:
        for place in missing:
            with contextlib.suppress(OSError):
                place.rmdir()
