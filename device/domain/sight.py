"""Left of the bar: what exists only inside the vision worker. Nothing of this module crosses the link.

Coordinates are pixels of the upright full-size frame, origin at the top left corner of the top left pixel,
x to the right. Arrays are views or buffers of the worker's own; one that is kept past its frame must be copied.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, IntEnum

import numpy as np
from numpy.typing import NDArray

from device.domain.time import MediaNs, MonotonicNs

U8 = NDArray[np.uint8]
F32 = NDArray[np.float32]


class ColourMatrix(Enum):
    """YCbCr to RGB coefficients, as the stream declares them (ITU-T H.273 table 4)."""

    BT601 = "bt601"
    BT709 = "bt709"
    BT2020 = "bt2020"


@dataclass(frozen=True, slots=True)
class Planes:
    """A picture in planar 8-bit YUV 4:2:0, as decoders give it.

    y  (H, W) uint8;   u, v  (ceil(H/2), ceil(W/2)) uint8; rows may be strided, columns are contiguous
    """

    y: U8
    u: U8
    v: U8
    matrix: ColourMatrix = ColourMatrix.BT601
    full_range: bool = False

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return int(self.y.shape[0]), int(self.y.shape[1])


@dataclass(frozen=True, slots=True)
class Packed:
    """A picture in RGB, as a camera's library on a GPU gives it.

    rgb      (H, W, 3) uint8 without gaps, for the processor
    address  where the GPU reads the very same bytes (mapped memory), finished: not written while the frame
             is in use. None where there is no GPU.
    """

    rgb: U8
    address: int | None = None

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return int(self.rgb.shape[0]), int(self.rgb.shape[1])


Picture = Planes | Packed


class Damage(IntEnum):
    """Damage of a picture between camera and decoder; the higher, the worse."""

    NONE = 0
    REFERENCE = 1
    """Decoded whole, but predicted from a picture that was not."""
    PICTURE = 2
    """Part of its own data is missing; the decoder filled the place in."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One progressive, upright picture of square pixels, with its times.

    index    0-based count of decoded frames of the source
    at       presentation time, from the first frame's
    decoded  when the decoder gave it
    damage   whether data was lost on the way to the decoder
    """

    index: int
    at: MediaNs
    decoded: MonotonicNs
    picture: Picture
    damage: Damage = Damage.NONE

    @property
    def width(self) -> int:
        return self.picture.size[1]

    @property
    def height(self) -> int:
        return self.picture.size[0]


@dataclass(frozen=True, slots=True)
class Face:
    """One detected face in frame pixels.

    box        (4,) float32: left, top, right, bottom
    landmarks  (5, 2) float32: right eye, left eye, nose tip, right and left corner of the mouth (the person's own)
    score      detector confidence, 0..1
    """

    box: F32
    landmarks: F32
    score: float

    @property
    def height_px(self) -> float:
        return float(self.box[3] - self.box[1])
