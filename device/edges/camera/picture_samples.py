"""The few pixels of a picture that its health is judged by: a grid of single pixels, and its means over cells.

grid   (R, C) uint8: every n-th pixel of every n-th row, some 90 on the short side (luma; green of packed RGB)
fine   (R, C') uint8: the pixels some 2 of 1,280 px to the right of those, for the sharpness of edges
cells  (R // 6, C // 6) float32: means of 6 x 6 of the grid. A face of 32 px in 1280x720 covers most of one.

Measured 2026-11-30: see the README of this folder.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from device.domain.sight import F32, U8, Frame, Packed

SHORT_SIDE = 90
CELL = 6
_FINE_OF = 640
_BLACK, _SPAN = 16.0, 219.0
"""Limited range luma, ITU-R BT.709-6 table 3."""


@dataclass(slots=True)
class Samples:
    """What was taken of one picture; `wipe` overwrites it. step: pixels between two of the grid."""

    grid: U8
    fine: U8
    cells: F32
    step: int
    full_range: bool

    def level(self, luma: float) -> float:
        """A full range luma, 0..255, in this picture's own range."""
        return luma if self.full_range else _BLACK + luma * _SPAN / 255.0

    @property
    def mean(self) -> float:
        """Mean luma, 0..255 full range."""
        raw = float(self.cells.mean())
        return raw if self.full_range else (raw - _BLACK) * 255.0 / _SPAN

    def wipe(self) -> None:
        """Overwrite with zeros."""
        for array in (self.grid, self.fine, self.cells):
            array.fill(0)


def samples_of(frame: Frame) -> Samples:
    """Take the samples of a frame; copies, so that they outlive it."""
    shown = frame.picture
    whole = shown.rgb[:, :, 1] if isinstance(shown, Packed) else shown.y
    height, width = whole.shape
    step = max(1, min(height, width) // SHORT_SIDE)
    start, right = step // 2, step // 2 + max(1, round(width / _FINE_OF))
    grid, fine = whole[start::step, start::step].copy(), whole[start::step, right::step].copy()
    over_rows, over_columns = _means(grid.shape[0]), _means(grid.shape[1])
    cells = over_rows @ grid.astype(np.float32) @ over_columns.T
    return Samples(grid, fine, cells, step, isinstance(shown, Packed) or shown.full_range)


@lru_cache(maxsize=16)
def _means(samples: int) -> F32:
    """(n, samples) float32 that averages runs of CELL, fewer in tiny pictures; what is left over is not used."""
    cell = max(1, min(CELL, samples // 4))
    return np.kron(np.eye(samples // cell, samples // cell), np.full((1, cell), 1 / cell)).astype(np.float32) @ np.eye(
        samples // cell * cell, samples, dtype=np.float32
    )
