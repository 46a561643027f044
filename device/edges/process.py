"""This process as the kernel sees it: no core dump, no ptrace, nothing of its memory on a disk."""

from __future__ import annotations

import ctypes
import resource

PR_SET_DUMPABLE = 4  # prctl(2)


def forbid_dumps() -> dict[str, bool]:
    """Core limit 0 and not dumpable; returns what the kernel granted."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    libc = ctypes.CDLL(None, use_errno=True)
    granted = libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0
    return {"core_limit_0": resource.getrlimit(resource.RLIMIT_CORE) == (0, 0), "not_dumpable": granted}
