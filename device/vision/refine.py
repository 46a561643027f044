"""Second look: find the landmarks of one face again, at a scale that suits the detector.

A face that is 16 px high in the detector's picture gets landmarks that are a pixel off, which is a tenth of the face;
alignment, and with it the template, suffers. Looking again at one small patch in which the face is 72 px high costs a
thirtieth of the recogniser and repairs that. Measured 2026-11-23, 350 mates and 800 others of LFW, threshold .49: TPIR
at 32 px 40 % -> 87 %, at 48 px 79 % -> 92 %, at 64 px 88 % -> 93 %; the impostors' 99th percentile stays at .44.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from device.domain.sight import F32, U8, Face
from device.vision.detector import Detector

PATCH_PX = 128
FACE_IN_PATCH_PX = 72
# The refined box must still be the face that was asked for.
SAME_FACE_SHIFT = 0.5


class Refiner:
    """Repeats detection on a patch around one face."""

    def __init__(self, detector: Detector) -> None:
        """`detector` must accept pictures of PATCH_PX x PATCH_PX."""
        self._detector = detector

    def refine(self, cut: Callable[[F32, tuple[int, int]], U8], face: Face) -> Face | None:
        """The same face with better landmarks, or None when the patch shows no face where it should be.

        cut  cuts a patch: (2, 3) map from frame to patch pixels and (width, height) in, RGB uint8 out
        """
        scale = FACE_IN_PATCH_PX / max(face.height_px, 1.0)
        centre = (face.box[:2] + face.box[2:]) / 2
        origin = centre - PATCH_PX / 2 / scale
        to_patch = np.array([[scale, 0, -scale * origin[0]], [0, scale, -scale * origin[1]]], np.float32)
        patch = cut(to_patch, (PATCH_PX, PATCH_PX))
        side = PATCH_PX / scale
        found = self._detector.detect(patch, frame_size=(side, side), origin=(float(origin[0]), float(origin[1])))
        patch[:] = 0
        best: tuple[float, Face] | None = None
        for other in found:
            shift = float(np.hypot(*((other.box[:2] + other.box[2:]) / 2 - centre))) / max(face.height_px, 1.0)
            if shift < SAME_FACE_SHIFT and (best is None or shift - other.score < best[0]):
                best = (shift - other.score, other)
        return best[1] if best else None

    def wipe(self) -> None:
        """Look at a blank patch once, so that the runtime's own buffers forget the last face."""
        self._detector.detect(np.zeros((PATCH_PX, PATCH_PX, 3), np.uint8), frame_size=(1, 1))
