"""Turns a head that was photographed from the front: the photo is laid on a surface, which is turned and rendered.

The surface is an upright cylinder, in each row as wide as the head is there, with a nose on it. So eyes, nose and mouth
move and narrow as they do on a head, the near cheek widens and the far one goes out of sight, and the outline of the
hair stays as it was. It is no model of a person: nothing appears that the photo does not show (the ear that turns into
view is the photo's last column, stretched), light does not change, and beyond MOST_DEG the far eye is lost. It shows
the effect of turning on detector, landmarks and scheduling; real turned faces score differently.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tools.dev.clip import raster
from tools.dev.clip.raster import F32, U8

MOST_DEG = 55.0
HALF_WIDTH = (0.34, 0.6)
"""Least and most of a row's half width, in face heights: narrower is neck, wider is hair or hat."""

DEPTH = 0.8
"""Of the cylinder, over its half width: a face is flatter than a pillar."""

NOSE = (0.13, 0.1, 0.12)
"""How far the nose stands out, its half width and its half height, in face heights."""

NOSE_BELOW = 0.06
"""From the middle of the face box down to the nose, in face heights."""

NECK = (0.5, 0.85)
"""Below the middle of the face, where the turn fades out, in face heights."""


def shift_of(yaw_deg: float) -> float:
    """How far the middle of the face moves to the right, in face heights."""
    return 0.3 * float(np.sin(np.deg2rad(np.clip(yaw_deg, -MOST_DEG, MOST_DEG))))


def turned(pixels: U8, anchor: tuple[float, float], face_px: float, yaw_deg: float) -> U8:
    """A cutout's pixels, (H, W, 4) uint8 BGRA premultiplied, with the head turned; the same below the neck.

    anchor   of the face's middle, pixels;  face_px  its height
    yaw_deg  positive: towards the right of the picture; bounded to MOST_DEG
    """
    rows = min(pixels.shape[0], int(np.ceil(anchor[1] + NECK[1] * face_px)))
    if rows < 2 or face_px < 4:
        return pixels
    columns = _columns(pixels[:rows, :, 3], anchor, face_px, float(np.clip(yaw_deg, -MOST_DEG, MOST_DEG)))
    down = np.repeat(np.arange(rows, dtype=np.float32)[:, None], pixels.shape[1], axis=1)
    out: U8 = pixels.copy()
    out[:rows] = raster.sampled(np.ascontiguousarray(pixels[:rows]), columns, down)
    return out


def _columns(alpha: NDArray[np.uint8], anchor: tuple[float, float], face_px: float, yaw_deg: float) -> F32:
    """For each pixel of the turned head, the column of the photo that is seen there, (rows, W) float32."""
    rows, wide = alpha.shape
    columns = np.repeat(np.arange(wide, dtype=np.float32)[None, :], rows, axis=0)
    angles = np.deg2rad(np.linspace(-88, 88, 121))
    for row in range(rows):
        below = (row - anchor[1]) / face_px
        share = float(np.clip((NECK[1] - below) / (NECK[1] - NECK[0]), 0, 1))
        solid = np.flatnonzero(alpha[row] > 200)
        if share <= 0 or not len(solid):
            continue
        half = min(abs(anchor[0] - solid[0]), abs(solid[-1] - anchor[0])) / face_px
        half = float(np.clip(half, *HALF_WIDTH)) * face_px
        turn = np.deg2rad(yaw_deg * share)
        across = np.sin(angles) * half
        out, wide_at, tall = NOSE
        nose = out * np.exp(-((across / face_px / wide_at) ** 2) - ((below - NOSE_BELOW) / tall) ** 2) * face_px
        seen_at = across * np.cos(turn) + (DEPTH * np.cos(angles) * half + nose) * np.sin(turn)
        outer = slice(max(0, int(anchor[0] - half)), min(wide, int(anchor[0] + half) + 1))
        at = np.arange(outer.start, outer.stop, dtype=np.float32) - anchor[0]
        columns[row, outer] = anchor[0] + _nearest_surface(at, seen_at, across, turn)
    return columns


def _nearest_surface(at: NDArray[Any], seen_at: NDArray[Any], across: NDArray[Any], turn: float) -> F32:
    """Where on the photo (`across`) lies what is seen at `at`; what something nearer hides is left out."""
    if turn >= 0:  # the part of the surface behind the right edge is hidden: keep what rises up to the outermost point
        last = int(np.argmax(seen_at))
        seen, source = seen_at[: last + 1], across[: last + 1]
    else:
        first = int(np.argmin(seen_at))
        seen, source = seen_at[first:], across[first:]
    rising = np.maximum.accumulate(seen)
    return np.asarray(np.interp(at, rising, source), np.float32)
