"""This process as the kernel sees it: no core dump, no ptrace, nothing of its memory on a disk."""

from __future__ import annotations

import ctypes
import resource
from pathlib import Path

PR_SET_DUMPABLE = 4  # prctl(2)


def forbid_dumps() -> dict[str, bool]:
    """Core limit 0 and not dumpable; returns what the kernel granted."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    libc = ctypes.CDLL(None, use_errno=True)
    granted = libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0
    return {"core_limit_0": resource.getrlimit(resource.RLIMIT_CORE) == (0, 0), "not_dumpable": granted}


def peak_resident_mb() -> int:
    """High-water mark of the resident set, MiB (proc(5), VmHWM; getrusage would count the parent's before exec)."""
    lines = Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) // 1024


def resident_bytes() -> int:
    """Resident set now (proc(5), statm field 2)."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * resource.getpagesize()
