"""Whether a picture moves at all: the run of looks in which nothing changed but what encoders and sensors change.

Each look is compared with the first of its run, so that slow movement adds up.

1. Still: the median cell has moved by SHIFT_MOST at most, and no cell by more than SETTLING plus NOISE_SIGMAS times the
   noise; one in STRAYS_OF may by STRAY times as much (an encoder that redraws one edge). The noise of a cell is
   estimated from all cells (median absolute deviation), and is NOISE_MOST at most. An encoder that is fed one and the
   same picture goes on changing it by less than a level a cell, and draws it anew at every key frame.
2. A single look may differ by up to SLIGHT times as much: a key frame that is drawn worse than those before it, and
   refined by the next. What moves differs in the next look, too.
3. Cells of the first and last EDGE_ROWS rows of cells may change: a clock in the picture runs on when the camera does
   not. A head that shows nothing but itself there, in a picture in which all else is still, is not noticed.
4. A run is exact when in EXACT_LOOKS of its last KEPT_LOOKS at most EXACT_SHARE of the samples differed from the look
   before. Encoders keep a picture that does not change; sensors do not.

5. A run that ends begins anew with the earliest of the looks in it that the present one does not differ from; one in
   FIRST_EVERY_NS is kept for that. The first may have been taken while the camera still worked.
6. Exact runs are usual for a camera that gives exact pictures of what does not move while something else does: one
   without noise (a denoiser at night), or with an encoder that skips what hardly changes (x265). Such a look has
   UNMOVED_LEAST of its cells unmoved and EXACT_CELLS of those exact; EXACT_USUAL of the last moving looks are such.
7. `lived_ns` is the longest run that ended by a movement: the camera worked, and nothing moved for so long.

Figures: README of this folder (`lfr bench camera-faults`).
"""

from __future__ import annotations

from collections import deque
from enum import Enum

import numpy as np

from device.domain.sight import F32, U8
from device.domain.time import NS_PER_MS, NS_PER_S
from device.edges.camera.picture_samples import CELL, Samples

SETTLING = 1.0
SHIFT_MOST = 0.35
NOISE_SIGMAS = 4.5
STRAY, STRAYS_OF = 3.0, 100
SLIGHT = 6.0
NOISE_MOST = 1.0
"""Grey levels of a cell; a sensor's noise of 4 levels a pixel."""
EDGE_ROWS = 2
EXACT_SHARE = 0.01
UNMOVED_LEAST, UNMOVED = 0.25, 0.5
"""Share of the cells; grey levels of a cell from one look to the next."""
EXACT_CELLS, EXACT_USUAL = 0.8, 0.4
"""Measured 2026-11-30, of moving looks: a drawn room 75 to 100 % without noise, 50 to 100 % with noise through x265; 0
with noise through x264 and MJPEG; a clip of a real room: 25 to 35 %, as it is and encoded again."""
MOVING_LOOKS, MOVING_LEAST = 40, 10
GAP_NS = round(1.2 * NS_PER_S)
"""Looks further apart than this say nothing about what was between them."""
FIRST_EVERY_NS, KEPT_FIRSTS = 300 * NS_PER_MS, 8
EXACT_LOOKS, KEPT_LOOKS = 5, 6
_SIGMA_OF_MAD = 1 / 0.6745
"""Of a normal distribution."""


class _Change(Enum):
    """How a look differs from the first of its run (rules 1 and 2)."""

    NONE = 0
    SLIGHT = 1
    MOVED = 2


class StillPicture:
    """Judges looks in order. `blank` is for any thread.

    still_ns  how long the run has lasted;  exact: rule 4;  exact_is_usual: rule 6;  lived_ns: rule 7
    """

    def __init__(self) -> None:
        self.still_ns = self.lived_ns = 0
        self._firsts: list[tuple[int, F32]] = []
        """Cells of the first look of the run, and of later ones that a shorter run may begin with (rule 5)."""
        self._slight: tuple[int, F32] | None = None
        self._before: U8 | None = None
        self._last_ns = 0
        self._exact: deque[tuple[int, bool]] = deque(maxlen=KEPT_LOOKS)
        self._exact_beside: deque[bool] = deque(maxlen=MOVING_LOOKS)
        """Whether what did not move was exact, of the last looks in which something moved (rule 6)."""

    def see(self, at_ns: int, samples: Samples) -> None:
        """Take one look; nothing of `samples` is kept but copies."""
        now = (at_ns, samples.cells.copy())
        change = _change(self._firsts, now[1]) if 0 <= at_ns - self._last_ns <= GAP_NS else _Change.MOVED
        begins = change is _Change.MOVED or (change is _Change.SLIGHT and self._slight is not None)
        if begins:
            if self._firsts and 0 <= at_ns - self._last_ns <= GAP_NS:
                self.lived_ns = max(self.lived_ns, self.still_ns)
            self._shorten(now, after_gap=at_ns - self._last_ns > GAP_NS)
        else:
            self._slight = now if change is _Change.SLIGHT else None
            if len(self._firsts) < KEPT_FIRSTS and at_ns - self._firsts[-1][0] >= FIRST_EVERY_NS and not self._slight:
                self._firsts.append(now)
        if begins or self._before is not None:
            self._count(at_ns, samples.grid, moving=begins)
        self._last_ns = at_ns
        self.still_ns = at_ns - self._firsts[0][0]

    @property
    def exact(self) -> bool:
        """Whether the run is one of an encoder that is fed one picture (rule 4)."""
        began_ns = self._firsts[0][0] if self._firsts else 0
        return sum(exact for at_ns, exact in self._exact if at_ns > began_ns) >= EXACT_LOOKS

    @property
    def exact_is_usual(self) -> bool:
        """Whether exact runs say nothing about this camera (rule 6)."""
        looks = len(self._exact_beside)
        return looks >= MOVING_LEAST and sum(self._exact_beside) >= EXACT_USUAL * looks

    def blank(self) -> None:
        """Forget single pixels; the run stays as exact as it was."""
        before, self._before = self._before, None
        if before is not None:
            before.fill(0)

    def wipe(self) -> None:
        """Forget the pictures."""
        self.blank()
        for _, cells in (*self._firsts, *([] if self._slight is None else [self._slight])):
            cells.fill(0)
        self._firsts, self._slight, self.still_ns = [], None, 0
        self._exact.clear()

    def _shorten(self, now: tuple[int, F32], *, after_gap: bool) -> None:
        """Begin with the earliest look that this one does not differ from (rule 5), or with this one."""
        slight, self._slight = self._slight, None
        later = [] if after_gap else [*self._firsts[1:], *([] if slight is None else [slight])]
        while later and _change(later, now[1]) is not _Change.NONE:
            later.pop(0)
        self._firsts = later or [now]

    def _count(self, at_ns: int, grid: U8, *, moving: bool) -> None:
        """Rules 4 and 6."""
        before, self._before = self._before, grid.copy()
        if before is not None and before.shape == grid.shape:
            self._exact.append((at_ns, bool(np.count_nonzero(before != grid) <= EXACT_SHARE * grid.size)))
            if moving and (beside := _exact_beside(before, grid)) is not None:
                self._exact_beside.append(beside)


def _exact_beside(before: U8, grid: U8) -> bool | None:
    """Whether what did not move is exact; None when too little of the picture is unmoved (rule 6)."""
    height, width = grid.shape[0] // CELL * CELL, grid.shape[1] // CELL * CELL
    if not height or not width:
        return None
    away = (grid[:height, :width].astype(np.int16) - before[:height, :width]).reshape(height // CELL, CELL, -1, CELL)
    unmoved = np.abs(away.sum((1, 3))) <= UNMOVED * CELL * CELL
    count = int(np.count_nonzero(unmoved))
    if count < max(1.0, UNMOVED_LEAST * unmoved.size):
        return None
    return int(np.count_nonzero(unmoved & ~away.any((1, 3)))) >= EXACT_CELLS * count


def _change(firsts: list[tuple[int, F32]], cells: F32) -> _Change:
    """How this look differs from the first of `firsts` (rules 1 to 3)."""
    if not firsts or firsts[0][1].shape != cells.shape:
        return _Change.MOVED
    moved = cells - firsts[0][1]
    shift = _median(moved)
    noise = _median(np.abs(moved - shift)) * _SIGMA_OF_MAD
    inner = np.abs(moved[EDGE_ROWS : moved.shape[0] - EDGE_ROWS])
    if abs(shift) > SHIFT_MOST or noise > NOISE_MOST or inner.size < 2:
        return _Change.MOVED
    most = SETTLING + NOISE_SIGMAS * noise
    strays = max(1, inner.size // STRAYS_OF)
    ordered = np.partition(inner, (inner.size - 1 - strays, inner.size - 1), axis=None)
    largest = float(ordered[-1])
    if float(ordered[inner.size - 1 - strays]) <= most and largest <= STRAY * most:
        return _Change.NONE
    return _Change.SLIGHT if largest <= SLIGHT * most else _Change.MOVED


def _median(values: F32) -> float:
    middle = values.size // 2
    return float(np.partition(values, middle, axis=None)[middle])
