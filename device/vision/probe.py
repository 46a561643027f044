"""The probe: the best shot of one person, with everybody else made unrecognisable."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from device.domain.sight import U8, Face, Frame
from device.vision.picture import mosaic, warp

CONTEXT = 1.7  # side of the shot in face heights: hair and chin, hardly a neighbour
BLUR_GRID = 4  # a hidden face is left with 4 x 4 flat squares


def take_shot(frame: Frame, face: Face, others: Sequence[Face], out: U8) -> None:
    """Cut the square around `face` into `out` (side, side, 3) uint8 RGB and hide every other face in it.

    others  all faces of the frame; the one whose box centre is `face`'s own is left visible
    """
    side = out.shape[0]
    scale = side / (CONTEXT * max(face.height_px, 1.0))
    centre = (face.box[:2] + face.box[2:]) / 2
    shift = side / 2 - scale * centre
    out[:] = warp(frame, np.array([[scale, 0, shift[0]], [0, scale, shift[1]]], np.float32), (side, side))
    for other in others:
        if other is face or float(np.hypot(*((other.box[:2] + other.box[2:]) / 2 - centre))) < 0.25 * face.height_px:
            continue
        margin = 0.2 * (other.box[2:] - other.box[:2])
        left, top = np.clip((other.box[:2] - margin) * scale + shift, 0, side).astype(int)
        right, bottom = np.clip((other.box[2:] + margin) * scale + shift, 0, side).astype(int)
        if right - left >= 2 and bottom - top >= 2:
            mosaic(out[top:bottom, left:right], BLUR_GRID)
