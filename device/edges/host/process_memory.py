"""Resident memory of this process, from proc(5)."""

from __future__ import annotations

import os
from pathlib import Path


def resident_bytes(root: Path = Path("/")) -> int | None:
    """Resident set now (statm, field 2); None where there is no /proc."""
    try:
        pages = int((root / "proc/self/statm").read_text(encoding="ascii").split()[1])
    except (OSError, ValueError, IndexError):
        return None
    return pages * os.sysconf("SC_PAGE_SIZE")


def peak_resident_mb() -> int:
    """High-water mark of the resident set, MiB (status, VmHWM; getrusage would count the parent's before exec)."""
    lines = Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) // 1024
