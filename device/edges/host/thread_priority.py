"""Priority of a thread, by setpriority(2): on Linux each thread has a nice value of its own.

Measured 2026-11-30 on the bench's clip (AMD EPYC, 2 cores, three busy threads; SPEED.md): with equal priorities the
thread that recognises, the busiest of the three, gets two thirds of a core and waits .5 s of 3.3 for it.
"""

from __future__ import annotations

import os
import threading
from contextlib import suppress

STEPS = 3
"""Half the weight: two such threads share one core, and the third has the other for itself."""


def step_back() -> None:
    """Put the calling thread STEPS behind the first thread of this process; a kernel that refuses changes nothing."""
    with suppress(OSError):
        first = os.getpriority(os.PRIO_PROCESS, os.getpid())
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), first + STEPS)
