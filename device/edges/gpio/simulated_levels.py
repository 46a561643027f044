"""A header without hardware for the loop-back: bridges, pulls and faults as attributes. The fake of `LineLevels`."""

from __future__ import annotations

from device.config.model import INPUTS
from device.errors import GpioUnavailable


class SimulatedLevels:
    """Lines by key.

    bridges   input to the output that it is bridged to
    stuck     lines that keep a level whatever is driven or bridged (a pad that is not muxed as GPIO, a short)
    floating  inputs whose pull is missing: they read high
    failing   True: every call raises GpioUnavailable
    """

    def __init__(self) -> None:
        self.bridges: dict[str, str] = {}
        self.stuck: dict[str, bool] = {}
        self.floating: set[str] = set()
        self.failing = False
        self.driven: dict[str, bool] = {}
        self.closed = False

    def drive(self, name: str, high: bool) -> None:
        self._check()
        self.driven[name] = high

    def high(self, name: str) -> bool:
        self._check()
        if name in self.stuck:
            return self.stuck[name]
        if name in self.bridges:
            output = self.bridges[name]
            return self.stuck.get(output, self.driven.get(output, False))
        return INPUTS[name] or name in self.floating

    def close(self) -> None:
        self.driven.clear()
        self.closed = True

    def _check(self) -> None:
        if self.failing or self.closed:
            raise GpioUnavailable("the simulated header does not answer")
