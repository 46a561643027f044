"""Both templates of a photo, and the raw length, in the one vector that enrolment and its cache carry.

`device.enrolment.rules` normalises a reader's result; the entry's own length, 1 before, undoes that.
"""

from __future__ import annotations

import numpy as np

from device.domain.sight import F32, U8
from device.enrolment.engine_photo_reader import EnginePhotoReader, PhotoTemplates
from device.enrolment.photo_reader import PhotoFace

LENGTH_UNIT = 10.0


class PackedReader(EnginePhotoReader):
    """Photos as they would be enrolled and as a look would see them."""

    def template(self, rgb: U8, face: PhotoFace) -> F32 | None:
        """(2 d + 1,) float32; see `unpacked`."""
        made = self.templates(rgb, face)
        return None if made is None else packed(made)


def packed(made: PhotoTemplates) -> F32:
    """(2 d + 1,) float32: entry, look, length."""
    return np.concatenate([made.entry, made.look, [made.length / LENGTH_UNIT]]).astype(np.float32)


def unpacked(row: F32) -> PhotoTemplates:
    """The arguments of `packed`, whatever the row was multiplied by."""
    dim = (len(row) - 1) // 2
    scale = float(np.linalg.norm(row[:dim]))
    entry, look = row[:dim] / scale, row[dim : 2 * dim]
    return PhotoTemplates(entry, look / np.linalg.norm(look), float(row[-1]) / scale * LENGTH_UNIT)
