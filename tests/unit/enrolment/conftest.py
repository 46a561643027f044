"""Painted photos and a reader that understands them: a face is a red block whose green encodes the person."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest

from device.domain.sight import F32, U8
from device.enrolment.photo_reader import PhotoFace

BLURRED_BLUE = 120
NOISE_BLUE = 200


def unit(person: int) -> F32:
    """The template of a painted person; two people's are nearly at right angles."""
    row = np.random.default_rng(person).standard_normal(128).astype(np.float32)
    return np.asarray(row / np.linalg.norm(row), np.float32)


class PaintedReader:
    """PhotoReader of painted photos; counts what it reads."""

    blurred_below = 0.5

    def __init__(self) -> None:
        self.photos_read = 0

    def read(self, rgb: U8) -> Sequence[PhotoFace]:
        self.photos_read += 1
        red = ((rgb[:, :, 0] > 200) & (rgb[:, :, 1] < 180)).astype(np.uint8)
        _, _, stats, _ = cv2.connectedComponentsWithStats(red)
        faces = []
        for left, top, width, height, _ in stats[1:]:
            box = np.array([left, top, left + width, top + height], np.float32)
            blue = int(rgb[top + height // 2, left + width // 2, 2])
            sharp = 0.1 if abs(blue - BLURRED_BLUE) < 10 else 1.0
            faces.append(PhotoFace(box, np.zeros((5, 2), np.float32), 0.9, sharp, 0.0))
        return faces

    def template(self, rgb: U8, face: PhotoFace) -> F32 | None:
        left, top, right, bottom = (int(v) for v in face.box)
        _, green, blue = rgb[(top + bottom) // 2, (left + right) // 2]
        return None if abs(int(blue) - NOISE_BLUE) < 10 else 3 * unit(round(int(green) / 10))


Paint = Callable[..., U8]
SavePhoto = Callable[..., Path]


def painted(*people: tuple[int, tuple[int, int, int, int]], size: tuple[int, int] = (250, 250), blue: int = 0) -> U8:
    """(H, W, 3) uint8 RGB with a face for each (person 0..15, (left, top, right, bottom))."""
    canvas = np.full((size[1], size[0], 3), 240, np.uint8)
    canvas[:, :, 0] = 60
    for person, (left, top, right, bottom) in people:
        canvas[top:bottom, left:right] = (255, person * 10, blue)
    return canvas


@pytest.fixture
def paint() -> Paint:
    return painted


@pytest.fixture
def template_of() -> Callable[[int], F32]:
    return unit


@pytest.fixture
def reader() -> PaintedReader:
    return PaintedReader()


@pytest.fixture
def photo() -> SavePhoto:
    """`photo(path, person, side=…)`: write a photo with one central face of `side` pixels, or the given picture."""

    def save(path: Path, person: int = 1, *, side: int = 100, blue: int = 0, picture: U8 | None = None) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        near, far = 125 - side // 2, 125 - side // 2 + side
        shown = painted((person, (near, near, far, far)), blue=blue) if picture is None else picture
        encoded = cv2.imencode(path.suffix, shown[:, :, ::-1])[1]
        path.write_bytes(encoded.tobytes())
        return path

    return save
