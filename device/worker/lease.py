"""The worker's lease: without a sign of life from its supervisor it wipes its memory and ends.

A supervisor that hangs evaluates no condition and lights no sign that anybody could trust; its worker must not go on.

1. Each message of the supervisor renews the lease (device/wire/link.py, rule 4). It begins when the camera is about to
   be opened: nobody is in front of a worker that still loads its models, which takes seconds.
2. A thread of its own looks every CHECK_S. Silence for the lease at two looks in a row is the end: the link counts as
   gone, and the main thread stops, wipes and ends as at end-of-file. Two looks, because a process that was held up
   itself first has to read what is there.
3. A main thread that is busy or stuck has ORDERLY_S for that. Then this thread overwrites the list and ends the
   process; the kernel discards the rest.
4. Should no thread of Python run any more (a native call that holds the interpreter's lock), the kernel's timer ends
   the process: SIGALRM, which nobody handles, KERNEL_S after the lease.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from types import TracebackType

from device.domain.time import NS_PER_S
from device.errors import LinkBroken
from device.worker.link_end import LinkEnd

CHECK_S = 0.05
ORDERLY_S = 0.4
KERNEL_S = 1.0


class LeaseWatch:
    """A context manager around everything that holds pictures. seconds: None for no lease at all.

    wipe  overwrites what can be overwritten from another thread; must not wait for the main thread
    """

    def __init__(self, link: LinkEnd, seconds: float | None, wipe: Callable[[], None]) -> None:
        self._link = link
        self._seconds = seconds
        self._wipe = wipe
        self._renewed_ns = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="lease", daemon=True)

    def __enter__(self) -> LeaseWatch:
        if self._seconds is not None:
            self._renew()
            self._link.on_message = self._renew
            self._thread.start()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        if self._seconds is not None:
            self._over.set()
            self._link.on_message = lambda: None
            self._thread.join()
            signal.setitimer(signal.ITIMER_REAL, 0)

    def _renew(self) -> None:
        self._renewed_ns = time.monotonic_ns()
        if not self._over.is_set():
            signal.setitimer(signal.ITIMER_REAL, (self._seconds or 0.0) + KERNEL_S)

    def _run_out(self) -> bool:
        return time.monotonic_ns() - self._renewed_ns > (self._seconds or 0.0) * NS_PER_S

    def _watch(self) -> None:
        before = False
        while not self._over.wait(CHECK_S):
            now = self._run_out()
            if now and before:
                break
            before = now
        else:
            return
        self._link.break_off(LinkBroken(f"no sign of life from the supervisor for {self._seconds:g} s"))
        if self._over.wait(ORDERLY_S):
            return
        self._wipe()
        os._exit(LinkBroken.exit_status)
