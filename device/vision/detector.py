"""Faces in a picture: a detector's outputs, mapped to frame pixels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from device.domain.sight import U8, Face
from engines.decoding import decoded

SIZE_MULTIPLE = 32  # of the deepest stride
FACE_IN_DETECTOR_PX = 16.0  # height at which YuNet still finds 99 % of faces (LFW, measured 2026-11-22)
LONGEST_SIDE = 1280


class Runner(Protocol):
    """What this module needs of `engines.runner.Runner`."""

    def run(self, batch: NDArray[np.uint8]) -> Mapping[str, NDArray[np.float32]]: ...


@dataclass(frozen=True, slots=True)
class DetectionSize:
    """The picture that the detector gets: `width` x `height` pixels, multiples of 32."""

    width: int
    height: int

    @staticmethod
    def for_frame(
        width: int,
        height: int,
        *,
        min_face_px: float,
        face_in_detector_px: float = FACE_IN_DETECTOR_PX,
        longest: int = LONGEST_SIDE,
    ) -> DetectionSize:
        """The smallest picture in which a face of `min_face_px` frame pixels is still `face_in_detector_px` high.

        longest  bound of the long side in pixels: beyond it, larger frames cost no more (and their smallest
                 faces are no longer found; `smallest_face_px` says what is)
        """
        scale = min(1.0, face_in_detector_px / min_face_px, longest / max(width, height))
        # Rounding each side on its own squeezes the picture by a few per cent at most, which is cheaper than padding.
        return DetectionSize(
            *(max(SIZE_MULTIPLE, round(side * scale / SIZE_MULTIPLE) * SIZE_MULTIPLE) for side in (width, height))
        )

    def smallest_face_px(self, frame_height: int, face_in_detector_px: float) -> float:
        """Height in frame pixels of the smallest face that this picture still shows well enough."""
        return face_in_detector_px * frame_height / self.height


class Detector:
    """Runs the network, whose outputs engines.decoding takes apart."""

    def __init__(self, runner: Runner, *, score_min: float) -> None:
        self._runner = runner
        self._score_min = score_min

    def detect(
        self, picture: U8, *, frame_size: tuple[float, float], origin: tuple[float, float] = (0.0, 0.0)
    ) -> list[Face]:
        """All faces of one picture, best first.

        picture     (h, w, 3) uint8 RGB, h and w multiples of 32
        frame_size  (width, height) in frame pixels of what the picture shows
        origin      its top left corner in frame pixels
        """
        height, width = picture.shape[:2]
        shown = DetectionSize(width, height)
        return faces_of(self._runner.run(picture[None]), shown, self._score_min, frame_size=frame_size, origin=origin)


def faces_of(
    outputs: Mapping[str, NDArray[np.float32]],
    shown: DetectionSize,
    score_min: float,
    *,
    frame_size: tuple[float, float],
    origin: tuple[float, float] = (0.0, 0.0),
) -> list[Face]:
    """The faces in a detector's outputs for one picture of size `shown`; the rest as in Detector.detect."""
    scores, rows = decoded(outputs, shown.width, score_min)
    scale = np.array([frame_size[0] / shown.width, frame_size[1] / shown.height], np.float32)
    shift = np.asarray(origin, np.float32)
    points = rows.reshape(-1, 7, 2) * scale + shift
    return [Face(p[:2].reshape(4), p[2:], float(s)) for p, s in zip(points, scores, strict=True)]
