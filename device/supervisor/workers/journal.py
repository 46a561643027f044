"""What workers say, as lines of the journal with the camera's name.

1. Only the wordings of device/wire/sayings.py are printed; of anything else, that it came.
2. One line of a wording and a camera in QUIET_S, `times` says how often it came since the last one.
"""

from __future__ import annotations

import logging

from device.logs import event
from device.ports.clock import Clock
from device.supervisor.runtime.rate_limit import RateLimiter
from device.wire.link import Level, Said
from device.wire.sayings import wording_of

_log = logging.getLogger(__name__)
QUIET_S = 10.0
UNKNOWN = "something that is no wording of ours, and is not printed"


class Sayings:
    """Of all cameras."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._limiter = RateLimiter(QUIET_S)

    def heard(self, camera: str, message: Said) -> None:
        """Rules 1 and 2."""
        wording = wording_of(message.text)
        name = f"{camera} {wording}"
        self._limiter.record(name)
        times = self._limiter.take(name, self._clock.monotonic())
        if times:
            warns = wording is None or message.level is Level.WARNING
            text = UNKNOWN if wording is None else message.text
            level = logging.WARNING if warns else logging.INFO
            event(_log, "worker.said", level=level, camera=camera, text=text, times=times)
