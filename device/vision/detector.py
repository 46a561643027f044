"""Faces in a picture: YuNet's outputs decoded, suppressed and mapped to frame pixels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from device.domain.sight import F32, U8, Face

STRIDES = (8, 16, 32)
SIZE_MULTIPLE = 32  # of the deepest stride
OVERLAP_LIMIT = 0.4  # two boxes that share more are one face; half-hidden neighbours share less


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
        width: int, height: int, *, min_face_px: float, face_in_detector_px: float, longest: int
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
    """Decodes YuNet (OpenCV Zoo 2023mar): score sqrt(cls*obj), centre (cell + d)*stride, size exp(d)*stride."""

    def __init__(self, runner: Runner, *, score_min: float) -> None:
        self._runner = runner
        self._score_min = score_min
        self._cells: dict[tuple[int, int, int], F32] = {}

    def detect(
        self, picture: U8, *, frame_size: tuple[float, float], origin: tuple[float, float] = (0.0, 0.0)
    ) -> list[Face]:
        """All faces of one picture, best first.

        picture     (h, w, 3) uint8 RGB, h and w multiples of 32
        frame_size  (width, height) in frame pixels of what the picture shows
        origin      its top left corner in frame pixels
        """
        height, width = picture.shape[:2]
        outputs = self._runner.run(picture[None])
        if "scores" in outputs:  # an added detector that decodes in its graph (engines.own_card)
            found = [self._decoded(outputs)]
        else:
            found = [self._decode(outputs, stride, width // stride) for stride in STRIDES]
        scores = np.concatenate([f[0] for f in found])
        if not scores.size:
            return []
        rows = np.concatenate([f[1] for f in found])
        keep = _suppress(rows[:, :4], scores)
        scale = np.array([frame_size[0] / width, frame_size[1] / height], np.float32)
        shift = np.asarray(origin, np.float32)
        points = rows[keep].reshape(-1, 7, 2) * scale + shift
        return [Face(p[:2].reshape(4), p[2:], float(s)) for p, s in zip(points, scores[keep], strict=True)]

    def _decoded(self, outputs: Mapping[str, NDArray[np.float32]]) -> tuple[F32, F32]:
        """Scores (n,) and rows (n, 14) of outputs that are boxes and points in picture pixels already."""
        score = outputs["scores"][0]
        chosen = np.flatnonzero(score >= self._score_min)
        rows = np.concatenate([outputs["boxes"][0, chosen], outputs["points"][0, chosen]], 1)
        return score[chosen], rows.astype(np.float32)

    def _decode(self, outputs: Mapping[str, NDArray[np.float32]], stride: int, columns: int) -> tuple[F32, F32]:
        """Scores (n,) and rows (n, 14: box corners, five points) in picture pixels of one stride."""
        score = np.sqrt(
            np.clip(outputs[f"cls_{stride}"][0, :, 0], 0, 1) * np.clip(outputs[f"obj_{stride}"][0, :, 0], 0, 1)
        )
        chosen = np.flatnonzero(score >= self._score_min)
        cell = np.stack([chosen % columns, chosen // columns], 1).astype(np.float32)
        box = outputs[f"bbox_{stride}"][0, chosen]
        points = outputs[f"kps_{stride}"][0, chosen].reshape(-1, 5, 2)
        centre = (cell + box[:, :2]) * stride
        half = np.exp(np.minimum(box[:, 2:], 10.0)) * (stride / 2)
        corners = np.concatenate([centre - half, centre + half], 1)
        landmarks = ((points + cell[:, None]) * stride).reshape(-1, 10)
        return score[chosen], np.concatenate([corners, landmarks], 1).astype(np.float32)


def _suppress(boxes: F32, scores: F32) -> list[int]:
    """Greedy non-maximum suppression: indices kept, best score first."""
    order = list(np.argsort(-scores, kind="stable"))
    kept: list[int] = []
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    while order:
        best = order.pop(0)
        kept.append(int(best))
        if order:
            rest = np.array(order)
            low = np.maximum(boxes[rest, :2], boxes[best, :2])
            high = np.minimum(boxes[rest, 2:], boxes[best, 2:])
            shared = np.prod(np.clip(high - low, 0, None), axis=1)
            order = list(rest[shared <= OVERLAP_LIMIT * (area[rest] + area[best] - shared)])
    return kept
