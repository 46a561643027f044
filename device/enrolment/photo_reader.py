"""The vision code's interface for enrolment, which must not import it: the worker passes in an object of this type."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from device.domain.sight import F32, U8


@dataclass(frozen=True, slots=True)
class PhotoFace:
    """One face found in a photo.

    box        (4,) float32: left, top, right, bottom, pixels of the photo
    landmarks  (5, 2) float32, pixels of the photo, order as in device.domain.sight.Face
    score      detector confidence, 0..1
    sharpness  the reader's own scale; see PhotoReader.blurred_below
    detail_px  height of a sharp face with as much detail (device/enrolment/photo_detail.py); infinite: not measured
    yaw        0 frontal, to about 1.5 either way, as in device.vision.quality
    """

    box: F32
    landmarks: F32
    score: float
    sharpness: float
    yaw: float
    detail_px: float = math.inf

    @property
    def height_px(self) -> float:
        return float(self.box[3] - self.box[1])


class PhotoReader(Protocol):
    """Finds faces in a photo and makes templates of them; one thread at a time owns a reader.

    blurred_below  sharpness under which a face is too blurred to enrol: the number belongs to the measure
    read           faces of an (H, W, 3) uint8 RGB photo of any size, any order
    template       (template_dim,) float32 of length 1, the caller's; None when the recogniser's output is noise
    """

    @property
    def blurred_below(self) -> float: ...

    def read(self, rgb: U8) -> Sequence[PhotoFace]: ...

    def template(self, rgb: U8, face: PhotoFace) -> F32 | None: ...
