"""prctl(2): the options that this project sets, each with its number from linux/prctl.h."""

from __future__ import annotations

import ctypes
import signal

PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PR_SET_NO_NEW_PRIVS = 38
PR_SET_PTRACER = 0x59616D61

_LIBC = ctypes.CDLL(None, use_errno=True)


def end_with_parent() -> bool:
    """Have the kernel send SIGTERM when the parent ends; survives exec. Callable between fork and exec.

    A parent that ended before the call is not noticed: compare os.getppid() with the expected number afterwards.
    """
    return _set(PR_SET_PDEATHSIG, signal.SIGTERM)


def forbid_dumping() -> bool:
    """No core dump of this process, and no debugger or memory reader of the same user."""
    return _set(PR_SET_DUMPABLE, 0)


def forbid_new_privileges() -> bool:
    """No set-user-id program gains rights from here on; seccomp and Landlock ask for it."""
    return _set(PR_SET_NO_NEW_PRIVS, 1)


def _set(option: int, value: int) -> bool:
    """Whether the kernel accepted it."""
    return int(_LIBC.prctl(option, value, 0, 0, 0)) == 0
