"""Photos of a data set as the networks' inputs: crops for the recogniser, fitted squares for the detector.

The photos are listed by calibration.data.faces. A photo becomes a crop exactly as it would be enrolled
(device.enrolment.photo_file over device.enrolment.engine_photo_reader); a photo that the device refuses is
left out. Crops stay in memory.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from device.domain.sight import F32, U8
from device.enrolment.engine_photo_reader import BLURRED, SMALL_PX, EnginePhotoReader
from device.enrolment.model_sessions import ModelSessions
from device.enrolment.photo_file import outcome_of
from device.enrolment.photo_reader import PhotoFace
from device.vision.picture import fit_square

UNREAD: F32 = np.ones(1, np.float32)


@dataclass(frozen=True, slots=True)
class Shown:
    """One usable photo. crop (112, 112, 3), square (SMALL_PX, SMALL_PX, 3), both uint8 RGB."""

    person: str
    path: Path
    crop: U8
    square: U8


class CropReader:
    """A PhotoReader that keeps the recogniser's input instead of running it."""

    blurred_below = BLURRED

    def __init__(self, room: ModelSessions) -> None:
        self._front_end = EnginePhotoReader(room)
        self.last: tuple[U8, U8] | None = None

    def read(self, rgb: U8) -> Sequence[PhotoFace]:
        """See PhotoReader."""
        return self._front_end.read(rgb)

    def template(self, rgb: U8, face: PhotoFace) -> F32 | None:
        """Keep crop and square; a unit vector stands for the template, which is not used."""
        crop = self._front_end.crop(rgb, face)
        if crop is None:
            return None
        self.last = crop.copy(), fit_square(rgb, SMALL_PX)[0]
        return UNREAD

    def shown(self, path: Path, person: str) -> Shown | None:
        """One photo, or None when it would not be enrolled or cannot be read."""
        self.last = None
        try:
            encoded = path.read_bytes()
        except OSError:
            return None
        outcome_of(encoded, self)
        return None if self.last is None else Shown(person, path, *self.last)


def digest_of(paths: Sequence[Path]) -> str:
    """One hash of all photos, whatever they are called."""
    each = sorted(hashlib.sha256(path.read_bytes()).hexdigest() for path in paths)
    return hashlib.sha256("".join(each).encode()).hexdigest()


def batch_of(picture: U8) -> U8:
    """(1, H, W, 3), as a runner takes it."""
    return np.ascontiguousarray(picture[None])
