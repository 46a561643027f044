"""How much detail of a face a photo really shows: an enlarged small picture has many pixels and little detail.

The measure is the share of an aligned face's contrast that is lost when it is shrunk to DETAIL_PX across and enlarged
again. It is turned into the height, in pixels, at which a sharp photo of a face would lose the same share.

Measured 2026-11-30 on 250 press photos (faces-dev, seed 3), each as it is (faces of 94 to 190 px) and shrunk to faces
of 16 to 64 px; shrunk ones also enlarged again with cubic, linear and Lanczos filters and saved as JPEG (quality 92).
Estimates for the half that the curve was not fitted to, 1st, 50th and 99th percentile, px:

enlarged from 16 px  12, 19, 32    from 24 px 17, 26, 38    from 32 px 24, 33, 49    from 48 px 32, 45, 64
shrunk to 32 px      26, 34, 50    to 48 px   30, 42, 66    to 64 px   32, 49, 77    as they are 41, 65, 99

Sharpening, noise and film grain added after enlarging count as detail.
"""

from __future__ import annotations

import numpy as np

from device.domain.sight import F32, U8
from device.enrolment.photo_file import shrunk_and_enlarged

_INNER = (slice(8, 104), slice(12, 100))
"""Rows and columns of an aligned 112 x 112 crop that hold the face rather than its surroundings."""
_LUMA_OF_RGB: F32 = np.array([0.299, 0.587, 0.114], np.float32)
"""ITU-R BT.601."""
_COARSE, _FINE = 8 / 112, 32 / 112
_LEAST_COARSE = 0.1
"""Of the variance: every one of 100 photos as they are lost .13 or more; below that next to nothing was there."""
_SLOPE, _OFFSET = 0.795, 7.797
"""Base-2 logarithm of the height = _SLOPE * ln(share) + _OFFSET (least squares over the data above)."""


def detail_px(crop: U8) -> float:
    """Height of a sharply photographed face with as much detail as the aligned (112, 112, 3) uint8 RGB `crop`."""
    grey = crop[_INNER] @ _LUMA_OF_RGB
    high, wide = grey.shape

    def lost_at(scale: float) -> float:
        """Mean squared difference to the picture shrunk to `scale` and enlarged again."""
        again = shrunk_and_enlarged(grey, width=round(wide * scale), height=round(high * scale))
        return float(((grey - again) ** 2).mean())

    contrast = max(lost_at(_COARSE), _LEAST_COARSE * float(grey.var()))
    share = lost_at(_FINE) / (contrast + 1e-3)
    return float(2.0 ** (_SLOPE * np.log(share + 1e-4) + _OFFSET))
