"""Health of a camera's picture: the same picture for too long is frozen, no light is dark.

Both are measured on every SAMPLE_STEP-th pixel of every SAMPLE_STEP-th row (luma; RGB where that is all there is), by
presentation time, so that a recording read at full speed gives the same result as at its pace.
"""

from __future__ import annotations

import numpy as np

from device.domain.sight import F32, U8, Frame, Packed, Picture
from device.domain.time import NS_PER_S

FROZEN_AFTER_NS = 2 * NS_PER_S
DARK_AFTER_NS = 2 * NS_PER_S
DARK_BELOW = 10.0
"""Mean luma, 0..255 full range: a covered lens; a lit street at night stays above 20."""
SAMPLE_STEP = 16
_DARK_EVERY_NS = NS_PER_S
_BLACK, _SPAN = 16.0, 219.0
"""Limited range luma, ITU-R BT.709-6 table 3."""
_LUMA_OF_RGB: F32 = np.array([0.299, 0.587, 0.114], np.float32)
"""ITU-R BT.601."""


class Watch:
    """Assesses frames in order; `frozen` and `dark` are of the last one."""

    def __init__(self) -> None:
        self._sample: U8 | None = None
        self._still_since_ns = 0
        self._dark_since_ns: int | None = None
        self._next_light_ns = 0
        self.frozen = False
        self.dark = False

    def see(self, frame: Frame) -> None:
        sample = _sample(frame.picture)
        if self._sample is None or not np.array_equal(self._sample, sample):
            self._sample = sample.copy()
            self._still_since_ns = frame.at
        self.frozen = frame.at - self._still_since_ns > FROZEN_AFTER_NS
        if frame.at >= self._next_light_ns:
            self._next_light_ns = frame.at + _DARK_EVERY_NS
            self._assess_light(frame.at, _light(frame.picture, sample))

    def wipe(self) -> None:
        """Drop the sample of the last picture."""
        if self._sample is not None:
            self._sample.fill(0)
            self._sample = None

    def _assess_light(self, at: int, light: float) -> None:
        if light >= DARK_BELOW:
            self._dark_since_ns = None
        elif self._dark_since_ns is None:
            self._dark_since_ns = at
        self.dark = self._dark_since_ns is not None and at - self._dark_since_ns >= DARK_AFTER_NS


def _sample(picture: Picture) -> U8:
    whole = picture.rgb if isinstance(picture, Packed) else picture.y
    return whole[::SAMPLE_STEP, ::SAMPLE_STEP]


def _light(picture: Picture, sample: U8) -> float:
    """Mean luma, 0..255 full range."""
    if isinstance(picture, Packed):
        return float(sample.reshape(-1, 3).mean(0) @ _LUMA_OF_RGB)
    luma = float(sample.mean())
    return luma if picture.full_range else (luma - _BLACK) * 255.0 / _SPAN
