"""Synthetic faces: drawn by arithmetic, the same on every machine. YuNet detects them with a score of .92.

For golden tensors and for comparing detectors: synthetic noise has no detections to compare.

1. Plain arithmetic in float64 and one rounding at the end: no random numbers, no functions whose last bit may differ.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from engines.runner import U8

F64 = NDArray[np.float64]
Colour = tuple[int, int, int]
SKINS: tuple[Colour, ...] = ((214, 168, 140), (141, 98, 74), (236, 200, 176), (92, 62, 48))
EYES_APART = 0.34
"""Distance of the eyes as a part of the face's size."""


def texture(height: int, width: int) -> F64:
    """(height, width, 3) background with edges in all directions, 0..255, by whole numbers alone."""
    y, x = np.mgrid[0:height, 0:width]
    planes = [((x * a + y * b) ^ (x * y // c)) & 127 for a, b, c in ((3, 5, 16), (2, 7, 24), (5, 3, 32))]
    return np.stack(planes, -1).astype(np.float64) + 32


def draw(canvas: F64, centre: tuple[float, float], size: float, kind: int) -> F64:
    """`canvas` with one frontal face about `size` pixels high at centre (x, y); `kind` varies skin and features."""
    height, width = canvas.shape[:2]
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    cx, cy = centre
    skin = SKINS[kind % len(SKINS)]
    dark = [part * 2 // 3 for part in skin]
    wide = 0.40 + 0.01 * (kind % 3)
    half = EYES_APART / 2

    def part(dx: float, dy: float, rx: float, ry: float, soft: float) -> F64:
        """Coverage of an ellipse, its middle and radii in parts of `size`."""
        far = np.sqrt(((x - cx - dx * size) / (rx * size)) ** 2 + ((y - cy - dy * size) / (ry * size)) ** 2)
        cover: F64 = np.clip((1 - far) / soft, 0, 1)[..., None]
        return cover

    def put(cover: F64, colour: Sequence[float] | F64) -> None:
        nonlocal canvas
        canvas = canvas * (1 - cover) + cover * np.asarray(colour, np.float64)

    put(part(0, -0.12, 0.50, 0.66, 0.1), (45, 32, 25))
    shade = 1 - ((x - cx) / size) ** 2 - 0.2 * (y - cy) / size
    put(part(0, 0, wide, 0.56, 0.12), np.asarray(skin, np.float64) * shade[..., None])
    for side in (-1, 1):
        put(part(side * half, -0.10, 0.11, 0.075, 0.6) * 0.6, dark)
        put(part(side * half, -0.10, 0.075, 0.035, 0.4), (240, 236, 230))
        put(part(side * half, -0.10, 0.036, 0.036, 0.5), (40, 28, 20 + 30 * (kind % 2)))
        put(part(side * half, -0.20, 0.12, 0.025, 0.6), (55, 38, 30))
        put(part(side * 0.045, 0.09, 0.025, 0.018, 0.6) * 0.8, dark)
    put(part(0, 0.0, 0.03, 0.12, 0.9) * 0.35, (240, 200, 175))
    put(part(0, 0.08, 0.07, 0.04, 0.9) * 0.3, dark)
    put(part(0, 0.25, 0.14, 0.045, 0.5), (165, 80, 78))
    put(part(0, 0.25, 0.13, 0.008, 0.5), (90, 40, 40))
    return canvas


def finished(canvas: F64) -> U8:
    """(1, H, W, 3) uint8, as a runner takes it."""
    result: U8 = np.floor(np.clip(canvas, 0, 255) + 0.5).astype(np.uint8)[None]
    return result


def crowd(size: tuple[int, int], kinds: Sequence[int]) -> U8:
    """Faces of sizes from an eighth of the picture's height to nearly all of its cell, side by side on the texture."""
    height, width = size
    canvas = texture(height, width)
    cell = width / len(kinds)
    for index, kind in enumerate(kinds):
        tall = min(cell, height) * (0.72 - 0.12 * (index % 4))
        canvas = draw(canvas, (cell * (index + 0.5), height * (0.5 + 0.04 * (index % 3))), tall, kind)
    return finished(canvas)


def crop(side: int, kind: int) -> U8:
    """One face as for a recogniser: eyes and mouth where the 112 px template of ArcFace has them."""
    scale = side / 112
    return finished(draw(texture(side, side), (56.0 * scale, 62.0 * scale), 104.0 * scale, kind))
