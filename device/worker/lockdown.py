"""What the worker asks of the kernel before the first frame, and what the kernel granted.

Each protection is reported by name in `Hello.protections`; which of them a deployment requires is a condition of the
supervisor's, not decided here.
"""

from __future__ import annotations

import ctypes
import resource
import signal

from device.edges.process import forbid_dumps

PR_SET_NO_NEW_PRIVS = 38  # prctl(2)
MCL_CURRENT, MCL_FUTURE, MCL_ONFAULT = 1, 2, 4  # mlockall(2); ONFAULT keeps untouched library pages out of RAM


def lock_down() -> dict[str, bool]:
    """Shut the ways by which a face could leave this process other than the link; call after the models are loaded."""
    granted = forbid_dumps()
    libc = ctypes.CDLL(None, use_errno=True)
    granted["no_new_privileges"] = libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
    granted["memory_locked"] = libc.mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) == 0
    granted["no_file_writes"] = _forbid_file_writes()
    return granted


def _forbid_file_writes() -> bool:
    """RLIMIT_FSIZE 0: the kernel refuses every byte to any regular file, memfd and tmpfs included (EFBIG)."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    except (ValueError, OSError):
        return False
    return resource.getrlimit(resource.RLIMIT_FSIZE) == (0, 0)
