"""Keeps a thread's alternate signal stack across a library that leaves its own behind.

OpenVINO's CPU plugin sets one (11,568 bytes) in the thread that compiles a model, keeps the one before, and restores
that when the model is freed. With two models closed in the order in which they were made, the thread ends up with a
stack that is freed memory: the next signal with a Python handler (Ctrl-C) ends the process with SIGSEGV. Measured:
2026-11-23, OpenVINO 2026.4, x86-64. Restoring the former stack at once avoids this.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager


class _Stack(ctypes.Structure):
    """stack_t of sigaltstack(2)."""

    _fields_ = (("sp", ctypes.c_void_p), ("flags", ctypes.c_int), ("size", ctypes.c_size_t))


@contextmanager
def kept_signal_stack() -> Iterator[None]:
    """Inside, the calling thread's alternate signal stack may change; afterwards it is what it was."""
    libc = ctypes.CDLL(None)
    before = _Stack()
    libc.sigaltstack(None, ctypes.byref(before))
    try:
        yield
    finally:
        libc.sigaltstack(ctypes.byref(before), None)
