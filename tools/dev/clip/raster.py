"""The clip's use of OpenCV: pictures are (H, W, 3) uint8 BGR, masks (H, W) uint8.

Points and sizes are (x, y) and (width, height), pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from device.errors import BadData

U8 = NDArray[np.uint8]
F32 = NDArray[np.float32]
Box = tuple[float, float, float, float]

BACKGROUND, FOREGROUND, MAYBE_BACKGROUND, MAYBE_FOREGROUND = range(4)
"""Marks of `segment` (cv2.GC_BGD and its neighbours)."""


class FaceNet:
    """FaceDetectorYN with a YuNet file; ground truth must not come from the code that it measures."""

    def __init__(self, weights: Path, score_min: float = 0.6) -> None:
        import cv2

        self._net = cv2.FaceDetectorYN.create(str(weights), "", (320, 320), score_min)

    def boxes(self, picture: U8) -> list[Box]:
        """Left, top, width, height of every face of a picture at its own size."""
        self._net.setInputSize((picture.shape[1], picture.shape[0]))
        faces = self._net.detect(picture)[1]
        return [] if faces is None else [(float(r[0]), float(r[1]), float(r[2]), float(r[3])) for r in faces]


def read(file: Path) -> U8:
    """A picture; BadData when it is none."""
    import cv2

    picture = cv2.imread(str(file), cv2.IMREAD_COLOR)
    if picture is None:
        raise BadData(f"{file}: not a picture; take another one")
    return np.asarray(picture, np.uint8)


def shrunk(picture: U8, scale: float) -> U8:
    """Smaller by area averaging; as it is for a scale of 1 or more."""
    import cv2

    if scale >= 1:
        return picture
    return np.asarray(cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA))


def resized(picture: Any, size: tuple[int, int]) -> Any:
    """To a size: area averaging where it shrinks, cubic where it grows."""
    import cv2

    smaller = size[0] < picture.shape[1]
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA if smaller else cv2.INTER_CUBIC)


def warped(picture: U8, matrix: NDArray[Any], size: tuple[int, int], *, edge_goes_on: bool = False) -> U8:
    """Through an affine (2, 3), bilinear; outside is 0, or the edge's colour."""
    import cv2

    border = cv2.BORDER_REPLICATE if edge_goes_on else cv2.BORDER_CONSTANT
    return np.asarray(cv2.warpAffine(picture, matrix.astype(np.float32), size, borderMode=border))


def sampled(picture: U8, columns: F32, rows: F32) -> U8:
    """Each pixel from the place (column, row) that the two maps name, bilinear; outside is 0."""
    import cv2

    return np.asarray(cv2.remap(picture, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT))


def halved(picture: U8) -> U8:
    """Half the size, smoothed before."""
    import cv2

    return np.asarray(cv2.pyrDown(picture))


def blurred(picture: U8, sigma: float) -> U8:
    """Gaussian."""
    import cv2

    return np.asarray(cv2.GaussianBlur(picture, (0, 0), sigma))


def filtered(picture: U8, kernel: F32) -> U8:
    """Correlated with a kernel whose sum is 1."""
    import cv2

    return np.asarray(cv2.filter2D(picture, -1, kernel))


def ellipse(mask: U8, centre: tuple[int, int], axes: tuple[int, int], value: int) -> None:
    """Fill an ellipse; `axes` are half its width and half its height."""
    import cv2

    cv2.ellipse(mask, centre, axes, 0, 0, 360, value, -1)


def polygon(mask: U8, points: Sequence[tuple[float, float]], value: int = 255) -> None:
    """Fill a polygon with whole-pixel corners."""
    import cv2

    cv2.fillPoly(mask, [np.array(points, np.int32)], value)


def soft_polygon(mask: U8, points: NDArray[np.float64]) -> None:
    """Fill a convex polygon with 255, corners to a sixteenth of a pixel and edges smoothed."""
    import cv2

    cv2.fillConvexPoly(mask, np.round(points * 16).astype(np.int32), 255, cv2.LINE_AA, 4)


def segment(picture: U8, marks: U8, rounds: int) -> NDArray[np.bool_]:
    """Foreground by GrabCut from the marks, which are changed; the same from the same input."""
    import cv2

    cv2.setRNGSeed(1)
    cv2.grabCut(picture, marks, None, np.zeros((1, 65)), np.zeros((1, 65)), rounds, cv2.GC_INIT_WITH_MASK)
    return np.isin(marks, (FOREGROUND, MAYBE_FOREGROUND))


def connected(mask: NDArray[np.bool_], x: int, y: int) -> NDArray[np.bool_]:
    """The part of a mask that hangs together with one of its pixels."""
    import cv2

    labels = cv2.connectedComponents(mask.astype(np.uint8))[1]
    return np.asarray(labels == labels[y, x])


def closed(mask: NDArray[np.bool_]) -> U8:
    """0 or 255, small holes filled."""
    import cv2

    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (3, 3))
    return np.asarray(cv2.morphologyEx(mask.astype(np.uint8) * 255, cv2.MORPH_CLOSE, kernel))


def depth(mask: NDArray[np.bool_]) -> F32:
    """Distance of each pixel of the mask from its edge."""
    import cv2

    return np.asarray(cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, 3), np.float32)


def laid_over(below: U8, drawn: U8, gain: float) -> U8:
    """`drawn`, (H, W, 4) premultiplied, made brighter by `gain`, over `below`."""
    import cv2

    clear = cv2.merge([255 - drawn[:, :, 3]] * 3)
    patch = cv2.convertScaleAbs(drawn[:, :, :3], alpha=gain)
    return np.asarray(cv2.add(cv2.multiply(below, clear, scale=1 / 255), patch))


def added(picture: U8, field: NDArray[np.int16]) -> U8:
    """Sum, kept within 0..255."""
    import cv2

    return np.asarray(cv2.add(picture, field, dtype=cv2.CV_8U))
