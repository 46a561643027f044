"""What a single look shows of the scene: light, structure, sharpness, and whether it is the scene of before.

1. Dark: mean luma below DARK_BELOW. Overexposed: WHITE_SHARE of the samples are white. Covered: light, but no edge
   anywhere; a cloth, a hand or paint lets light through. (Second differences of cells: a smooth gradient has none.)
2. Defocused: the steepest edges rise slowly. Steepness is the 99.5 % quantile of the difference over 2 of 1,280 px,
   over that of 64 px; it is compared with SOFT_ALWAYS, and with SOFT_SINCE of what it usually is for this camera.
3. Turned away: the cells correlate by less than LIKE_BEFORE with those of the camera's first LEARN_NS, which follow
   slow changes of light. The new view must be steady: a crowd that passes is not another scene.
"""

from __future__ import annotations

import numpy as np

from device.domain.camera_fault import CameraFault
from device.domain.sight import F32, U8
from device.domain.time import NS_PER_S
from device.edges.camera.picture_samples import Samples

DARK_BELOW = 10.0
"""Mean luma, 0..255 full range: a covered lens; a lit street at night stays above 20."""
WHITE, WHITE_SHARE = 250.0, 0.6
STRUCTURE = 6.0
"""95 % quantile of the second differences of cells, grey levels; measured 38 to 116 in ten clips, 2026-11-30."""
SOFT_ALWAYS, SOFT_SINCE = 0.11, 0.65
LIKE_BEFORE, LIKE_STEADY = 0.6, 0.7
LEARN_NS = 5 * NS_PER_S
FOLLOW_S = 60.0
_STEEP = 0.995
_FAR_OF = 20  # of the width: 64 of 1,280 px


def light_fault(samples: Samples) -> CameraFault | None:
    """Rule 1."""
    if samples.mean < DARK_BELOW:
        return CameraFault.DARK
    white = np.count_nonzero(samples.grid >= samples.level(WHITE))
    if white >= WHITE_SHARE * samples.grid.size:
        return CameraFault.OVEREXPOSED
    cells = samples.cells
    bends = np.abs(2 * cells[:, 1:-1] - cells[:, 2:] - cells[:, :-2])
    return CameraFault.COVERED if bends.size and _quantile(bends, 0.95) < STRUCTURE else None


def steepness(samples: Samples) -> float:
    """Of the steepest edges, 0..1 (rule 2); noise makes a soft picture look a little sharper."""
    grid, wide = samples.grid, min(samples.grid.shape[1], samples.fine.shape[1])
    far = max(1, grid.shape[1] // _FAR_OF)
    return _steepest(grid[:, :wide], samples.fine[:, :wide]) / max(1, _steepest(grid[:, far:], grid[:, :-far]))


class Focus:
    """Rule 2, against what is usual for this camera."""

    def __init__(self) -> None:
        self._usual: float | None = None
        self._learnt_ns = 0
        self._last_ns = 0

    def soft(self, at_ns: int, samples: Samples) -> bool:
        """Whether this look is out of focus."""
        steep = steepness(samples)
        since_ns, self._last_ns = at_ns - self._last_ns, at_ns
        if self._usual is None or since_ns < 0:
            self._usual, self._learnt_ns = steep, at_ns + LEARN_NS
        soft = steep < SOFT_ALWAYS or (at_ns >= self._learnt_ns and steep < SOFT_SINCE * self._usual)
        if not soft:
            self._usual += (steep - self._usual) * _weight(since_ns, learning=at_ns < self._learnt_ns)
        return soft


class View:
    """Rule 3."""

    def __init__(self) -> None:
        self._usual: F32 | None = None
        self._new: F32 | None = None
        self._learnt_ns = 0
        self._last_ns = 0

    @property
    def unlike(self) -> bool:
        """Whether the last look was unlike the usual one, steady or not: then its sharpness compares with nothing."""
        return self._new is not None

    def other(self, at_ns: int, samples: Samples) -> bool:
        """Whether this look shows another scene than before, and the one that the looks before it showed."""
        seen = _unit(samples.cells)
        since_ns, self._last_ns = at_ns - self._last_ns, at_ns
        if self._usual is None or self._usual.shape != seen.shape or since_ns < 0:
            self._usual, self._learnt_ns = seen.copy(), at_ns + LEARN_NS
            return False
        learning = at_ns < self._learnt_ns
        if learning or float(np.vdot(seen, self._usual)) >= LIKE_BEFORE:
            self._usual = _unit(self._usual + (seen - self._usual) * np.float32(_weight(since_ns, learning=learning)))
            self._new = None
            return False
        if self._new is None or float(np.vdot(seen, self._new)) < LIKE_STEADY:
            self._new = seen
            return False
        return True

    def wipe(self) -> None:
        """Overwrite both views; the usual one is learnt again."""
        for kept in (self._usual, self._new):
            if kept is not None:
                kept.fill(0)
        self._usual = self._new = None


def _weight(since_ns: int, *, learning: bool) -> float:
    """Of the newest look in a running mean."""
    return 0.1 if learning else min(1.0, since_ns / NS_PER_S / FOLLOW_S)


def _unit(cells: F32) -> F32:
    away: F32 = cells - cells.mean()
    away /= max(float(np.linalg.norm(away)), 1e-6)
    return away


def _steepest(one: U8, other: U8) -> int:
    """The 99.5 % quantile of the difference, grey levels."""
    away = np.maximum(one, other) - np.minimum(one, other)
    below = np.cumsum(np.bincount(away.ravel(), minlength=256))
    return int(np.searchsorted(below, _STEEP * below[-1]))


def _quantile(values: F32, share: float) -> float:
    place = min(values.size - 1, int(share * values.size))
    return float(np.partition(values, place, axis=None)[place])
