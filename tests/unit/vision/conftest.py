"""Builders of faces, frames and tracks, for tests of the vision code."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from device.domain.sight import F32, U8, ColourMatrix, Face, Frame, Planes
from device.domain.time import NS_PER_S, MediaNs, MonotonicNs
from device.vision.tracker import Track

WEIGHTS = {
    ColourMatrix.BT601: (0.299, 0.114),
    ColourMatrix.BT709: (0.2126, 0.0722),
    ColourMatrix.BT2020: (0.2627, 0.0593),
}


def _face(x: float, y: float, height: float = 80.0, *, score: float = 0.9, yaw: float = 0.0) -> Face:
    """A face whose box is centred at (x, y), four fifths as wide as high; the nose is `yaw` half eye distances off."""
    half = np.array([0.4 * height, 0.5 * height])
    centre = np.array([x, y])
    points = np.array([[-0.2, -0.15], [0.2, -0.15], [0.2 * yaw, 0.05], [-0.15, 0.25], [0.15, 0.25]])
    box = np.concatenate([centre - half, centre + half]).astype(np.float32)
    return Face(box, (centre + points * height).astype(np.float32), score)


def _planes(rgb: U8, matrix: ColourMatrix, full_range: bool) -> tuple[U8, U8, U8]:
    """RGB to planar 4:2:0, the other way round than the product goes (ITU-R BT.601 section 2.5, H.273)."""
    kr, kb = WEIGHTS[matrix]
    r, g, b = np.moveaxis(rgb.astype(np.float64), 2, 0)
    luma = kr * r + (1 - kr - kb) * g + kb * b
    cb, cr = (b - luma) / (2 * (1 - kb)), (r - luma) / (2 * (1 - kr))
    by_four = [plane.reshape(plane.shape[0] // 2, 2, plane.shape[1] // 2, 2).mean((1, 3)) for plane in (cb, cr)]
    if full_range:
        scaled = [luma, by_four[0] + 128, by_four[1] + 128]
    else:
        scaled = [16 + luma * 219 / 255, 128 + by_four[0] * 224 / 255, 128 + by_four[1] * 224 / 255]
    y, u, v = (np.clip(np.rint(plane), 0, 255).astype(np.uint8) for plane in scaled)
    return y, u, v


@pytest.fixture(scope="session")
def face_at() -> Callable[..., Face]:
    return _face


@pytest.fixture(scope="session")
def frame_of() -> Callable[..., Frame]:
    """`frame_of(y)` grey, `frame_of(y, u, v)`, or `frame_of(rgb)`; keywords matrix, full_range."""

    def make(
        first: U8,
        u: U8 | None = None,
        v: U8 | None = None,
        *,
        matrix: ColourMatrix = ColourMatrix.BT601,
        full_range: bool = True,
    ) -> Frame:
        if first.ndim == 3:
            y, u, v = _planes(first, matrix, full_range)
        else:
            half = ((first.shape[0] + 1) // 2, (first.shape[1] + 1) // 2)
            y = first
            u = np.full(half, 128, np.uint8) if u is None else u
            v = np.full(half, 128, np.uint8) if v is None else v
        return Frame(0, MediaNs(0), MonotonicNs(0), Planes(y, u, v, matrix, full_range))

    return make


@pytest.fixture(scope="session")
def at() -> Callable[[float], MediaNs]:
    """Seconds of presentation time."""
    return lambda seconds: MediaNs(round(seconds * NS_PER_S))


@pytest.fixture(scope="session")
def person() -> Callable[..., F32]:
    """`person(n)`: unit template of somebody; any two people's are at right angles. `like` turns it towards another."""

    def template(number: int, *, like: int | None = None, cosine: float = 0.0) -> F32:
        row = np.zeros(128, np.float32)
        row[number] = np.sqrt(1 - cosine**2)
        if like is not None:
            row[like] = cosine
        return row

    return template


@pytest.fixture(scope="session")
def track_at() -> Callable[..., Track]:
    """`track_at(id, seconds)`: a track of two sightings, not in doubt; doubtful, near and failures by keyword."""

    def make(
        number: int,
        seconds: float = 0.0,
        *,
        hits: int = 2,
        face: Face | None = None,
        doubtful: bool = False,
        near: bool = False,
        failures: int = 0,
    ) -> Track:
        when = MediaNs(round(seconds * NS_PER_S))
        shown = face or _face(100.0 * number, 100.0)
        centre = np.asarray((shown.box[:2] + shown.box[2:]) / 2, np.float32)
        made = Track(number, shown, when, when, centre, shown.height_px, hits=hits)
        made.doubtful, made.near, made.failures = doubtful, near, failures
        return made

    return make
