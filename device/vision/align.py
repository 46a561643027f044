"""Alignment: the similarity transform that puts five landmarks upright into the recogniser's input.

Source: template of ArcFace (Deng et al. 2019), as SFace uses it; least squares by Umeyama 1991, in its closed form for
two dimensions. Agrees with OpenCV's FaceRecognizerSF.alignCrop.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from device.domain.sight import F32, U8, Face, Frame
from device.errors import BadData
from device.vision.picture import warp, warp_rgb
from engines.cards.model_card import ModelCard

CROP_PX = 112
TEMPLATE: F32 = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]], np.float32
)
LIKENESS_MIN = 0.1  # correlation with the template below which the best similarity shrinks the points to nothing


class DegenerateGeometry(BadData):
    """Landmarks that coincide, or whose geometry is no face's: the caller drops the crop."""


@dataclass(frozen=True, slots=True)
class Alignment:
    """A recogniser's landmark template: points (5, 2) float32, pixels of its input; size: height and width."""

    points: F32
    size: tuple[int, int]

    @staticmethod
    def of(card: ModelCard) -> Alignment:
        """A card's own points; without them ArcFace's, which are for 112 x 112."""
        if card.points is None or card.input_size is None:
            return ARCFACE
        height, width = card.input_size
        return Alignment(np.array(card.points, np.float32) * np.array([width, height], np.float32), card.input_size)


ARCFACE = Alignment(TEMPLATE, (CROP_PX, CROP_PX))


def to_template(landmarks: F32, alignment: Alignment = ARCFACE) -> F32:
    """(2, 3) float32 similarity from frame pixels to the crop, from (5, 2) landmarks in frame pixels."""
    points, wanted = np.asarray(landmarks, np.float64), alignment.points.astype(np.float64)
    centre, middle = points.mean(0), wanted.mean(0)
    x, y = (points - centre).T
    u, v = (wanted - middle).T
    power = float(x @ x + y @ y)
    if not power > 1.0:
        raise DegenerateGeometry("the five landmarks coincide: no face geometry to align")
    a = float(x @ u + y @ v) / power
    b = float(x @ v - y @ u) / power
    if np.hypot(a, b) * np.sqrt(power) < LIKENESS_MIN * np.linalg.norm(wanted - middle):
        raise DegenerateGeometry("the five landmarks are not those of a face: no geometry to align")
    rotation = np.array([[a, -b], [b, a]])
    shift = middle - rotation @ centre
    return np.hstack([rotation, shift[:, None]]).astype(np.float32)


def as_mirrored(to_crop: F32, alignment: Alignment = ARCFACE) -> F32:
    """The map (2, 3) of `to_template`, to a crop whose columns are in reverse order."""
    turned: F32 = to_crop.copy()
    turned[0] = -turned[0]
    turned[0, 2] += alignment.size[1] - 1
    return turned


def align(frame: Frame, face: Face, alignment: Alignment = ARCFACE) -> U8:
    """Warp one face of a frame upright to (*alignment.size, 3) uint8 RGB; raises DegenerateGeometry."""
    return warp(frame, to_template(face.landmarks, alignment), alignment.size[::-1])


def align_rgb(picture: U8, face: Face, alignment: Alignment = ARCFACE) -> U8:
    """Warp one face of an RGB photo upright to (*alignment.size, 3) uint8 RGB; raises DegenerateGeometry."""
    return warp_rgb(picture, to_template(face.landmarks, alignment), alignment.size[::-1])
