"""Protections of this process: no core dump, no ptrace, a short environment, an allocator that overwrites."""

from __future__ import annotations

import ctypes
import os
import resource
import sys
from collections.abc import Mapping

from device.edges.sandbox import prctl

MCL_CURRENT, MCL_FUTURE, MCL_ONFAULT = 1, 2, 4  # mlockall(2); ONFAULT keeps untouched library pages out of RAM
M_MMAP_THRESHOLD, M_PERTURB = -3, -6  # mallopt(3)
FILL = 0x5A
"""What freed memory is filled with; any value but 0."""
LARGE_BYTES = 131_072
"""Allocations from here on have pages of their own, which go back to the kernel when they are freed."""

KEPT = frozenset({"LANG", "LC_ALL", "LC_CTYPE", "LD_LIBRARY_PATH", "LFR_CACHE", "PATH", "PYTHONPATH", "TZ"})
"""What a worker may inherit: language, where libraries and modules are (JetPack sets LD_LIBRARY_PATH), the models."""
GIVEN = {
    # glibc overwrites a block when it is freed, keeps no cache of small ones aside, and gives large ones back at once.
    "GLIBC_TUNABLES": f"glibc.malloc.perturb={FILL}:glibc.malloc.tcache_count=0:"
    f"glibc.malloc.mmap_threshold={LARGE_BYTES}",
    "CUDA_CACHE_DISABLE": "1",  # no compiled kernels on disk (CUDA C++ Programming Guide, environment variables)
    "ORT_DISABLE_TELEMETRY": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONNOUSERSITE": "1",
    "HOME": "/nonexistent",
}
"""What a worker is given beside it."""


def worker_environment(inherited: Mapping[str, str]) -> dict[str, str]:
    """The environment to start a worker with: an allow list, so that no credential or session reaches it."""
    return {**{name: text for name, text in inherited.items() if name in KEPT}, **GIVEN}


def environment_scrubbed() -> bool:
    """Whether this process was started with nothing but that."""
    return set(os.environ) <= KEPT | set(GIVEN) and all(os.environ.get(n) == text for n, text in GIVEN.items())


def overwrite_freed_memory() -> bool:
    """Have glibc overwrite what is freed and return large blocks to the kernel; False with another C library.

    The cache of small blocks that each thread keeps is not reached by this: GIVEN switches it off at exec.
    """
    libc = ctypes.CDLL(None)
    try:
        return bool(libc.mallopt(M_PERTURB, FILL) and libc.mallopt(M_MMAP_THRESHOLD, LARGE_BYTES))
    except AttributeError:
        return False


def overwrite_text(secret: str) -> None:
    """Overwrite the characters of a string in place, so that freeing it leaves nothing; it reads as zeros afterwards.

    Python has no such function: an ASCII string's characters end its object, with a zero byte after them (PEP 393).
    Only for a string that this process made for itself; others may be shared.
    """
    if secret and secret.isascii() and sys.implementation.name == "cpython":
        ctypes.memset(id(secret) + sys.getsizeof(secret) - len(secret) - 1, 0, len(secret))


def forbid_dumps() -> dict[str, bool]:
    """Core limit 0 and not dumpable; returns what the kernel granted."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    granted = prctl.forbid_dumping()
    return {"core_limit_0": resource.getrlimit(resource.RLIMIT_CORE) == (0, 0), "not_dumpable": granted}


def lock_memory() -> bool:
    """Keep everything this process holds, now and later, out of swap; False where RLIMIT_MEMLOCK forbids it."""
    status: int = ctypes.CDLL(None, use_errno=True).mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT)
    return status == 0
