"""Reduces a photo as if taken from further away: shrunk so that its face has a given height."""

from __future__ import annotations

from device.domain.sight import U8
from device.enrolment.photo_file import decode_upright
from device.enrolment.photo_reader import PhotoReader
from device.enrolment.rules import Outcome, most_central


def at_height(encoded: bytes, reader: PhotoReader, height: int) -> Outcome:
    """Template of the central face at `height` px (pixel areas averaged), whatever the rules say of its size."""
    import cv2
    import numpy as np

    rgb = decode_upright(encoded) if encoded else None
    if rgb is None:
        return Outcome(None, "does not decode")
    faces = reader.read(rgb)
    if not faces:
        return Outcome(None, "no face found")
    scale = height / most_central(faces, width=rgb.shape[1], height=rgb.shape[0]).height_px
    if scale > 1.0:
        return Outcome(None, f"the face is smaller than {height} px already")
    size = (max(1, round(rgb.shape[1] * scale)), max(1, round(rgb.shape[0] * scale)))
    small: U8 = np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), np.uint8)
    found = reader.read(small)
    if not found:
        return Outcome(None, f"no face found at {height} px")
    face = most_central(found, width=size[0], height=size[1])
    template = reader.template(small, face)
    if template is None:
        return Outcome(None, f"no usable template at {height} px")
    return Outcome(template / np.linalg.norm(template), None, (), face.height_px)
