"""Stillness: without change since the last detection, a frame needs none.

1. A frame is still when no cell of a GRID x GRID grid has changed its mean luma by CHANGED or more since the last frame
   that was not. A face of 32 px covers half a cell of a 1280x720 frame. Measured 2026-11-30, largest change of a cell
   from frame to frame, median and 75 %: a mostly empty room (139 s, 768x432, H.264) 3 and 17, crowds 28 to 45 and 57.
2. It is compared with the last frame that was not still, so that slow changes add up; after STILL_AT_MOST_S faces are
   detected in any case.
3. While somebody is in view every frame is searched, whatever has moved: nothing is compared then, and the first frame
   afterwards is not still.
"""

from __future__ import annotations

import numpy as np

from device.domain.sight import F32, Frame
from device.domain.time import NS_PER_S, MediaNs
from device.vision.picture import luma_samples

GRID = 24
CHANGED = 4.0
STILL_AT_MOST_S = 1.0


class Stillness:
    """Compares the frames of one camera; one owner thread."""

    def __init__(self) -> None:
        self._samples: F32 = np.zeros((GRID, GRID), np.float32)
        self._reference: F32 = np.zeros((GRID, GRID), np.float32)
        self._since: MediaNs | None = None

    def still(self, frame: Frame) -> bool:
        """Whether nothing has moved (rules 1 and 2)."""
        luma_samples(frame, self._samples)
        within = self._since is not None and 0 <= frame.at - self._since < STILL_AT_MOST_S * NS_PER_S
        if within and float(np.abs(self._samples - self._reference).max()) < CHANGED:
            return True
        self._reference, self._samples = self._samples, self._reference
        self._since = frame.at
        return False

    def forget(self) -> None:
        """The next frame is compared with nothing (rule 3)."""
        self._since = None

    def wipe(self) -> None:
        """Overwrite the sample of the last frame."""
        self._samples[:] = 0
        self._reference[:] = 0
        self.forget()
