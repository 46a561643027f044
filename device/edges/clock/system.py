"""Clock over the kernel: CLOCK_MONOTONIC, CLOCK_REALTIME and adjtimex(2) for whether the latter may be trusted."""

from __future__ import annotations

import ctypes
import time
from datetime import datetime, timezone

from device.domain.time import MonotonicNs, WallTime

TIME_ERROR = 5  # adjtimex(2): clock not synchronised
STA_UNSYNC = 0x40  # sys/timex.h
TIMEX_BYTES = 256  # struct timex is 208 bytes on 64-bit Linux; larger is harmless
STATUS_OFFSET = 40  # modes(4+4) offset(8) freq(8) maxerror(8) esterror(8), then int status


class SystemClock:
    """The host's clocks."""

    def monotonic(self) -> MonotonicNs:
        return MonotonicNs(time.monotonic_ns())

    def wall(self) -> WallTime:
        return WallTime(datetime.now(timezone.utc))

    def synchronised(self) -> bool:
        """Whether a time service disciplines the wall clock; False when the kernel cannot say."""
        libc = ctypes.CDLL(None, use_errno=True)
        timex = ctypes.create_string_buffer(TIMEX_BYTES)  # modes = 0: read only
        state = libc.adjtimex(timex)
        status = ctypes.c_int.from_buffer(timex, STATUS_OFFSET).value
        return state not in (-1, TIME_ERROR) and not status & STA_UNSYNC
