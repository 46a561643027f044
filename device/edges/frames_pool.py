"""Plane buffers that a feed owns: preallocated, reused, zeroed when given up."""

from __future__ import annotations

import numpy as np

from device.domain.sight import U8, Frame
from device.domain.time import MonotonicNs


class Planes:
    """Memory for one frame's planes. `keep` copies a frame in; the frame returned lives in this memory."""

    def __init__(self) -> None:
        self._y: U8 = np.empty((0, 0), np.uint8)
        self._u: U8 = np.empty((0, 0), np.uint8)
        self._v: U8 = np.empty((0, 0), np.uint8)

    def keep(self, frame: Frame, decoded: MonotonicNs) -> Frame:
        """Copy a frame over what was here; new memory only when the size changed (the old is zeroed first)."""
        if self._y.shape != frame.y.shape or self._u.shape != frame.u.shape:
            self.wipe()
            self._y = np.zeros(frame.y.shape, np.uint8)
            self._u = np.zeros(frame.u.shape, np.uint8)
            self._v = np.zeros(frame.v.shape, np.uint8)
        np.copyto(self._y, frame.y)
        np.copyto(self._u, frame.u)
        np.copyto(self._v, frame.v)
        return Frame(frame.index, frame.at, decoded, self._y, self._u, self._v, frame.matrix, frame.full_range)

    def wipe(self) -> None:
        """Zero the memory."""
        for plane in (self._y, self._u, self._v):
            plane.fill(0)
