"""A detector's outputs as boxes and points in the pixels of its picture: decoded, and one box a face.

YuNet (OpenCV Zoo 2023mar): score sqrt(cls*obj), centre (cell + d)*stride, size exp(d)*stride. An added detector may
decode in its graph (engines.cards.custom_card).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from engines.cards.model_card import STRIDES
from engines.runner import F32

_NOTHING = np.zeros(0, np.float32), np.zeros((0, 14), np.float32)
OVERLAP_LIMIT = 0.4  # two boxes that share more are one face; half-hidden neighbours share less


def decoded(outputs: Mapping[str, NDArray[np.float32]], width: int, score_min: float) -> tuple[F32, F32]:
    """Faces of the first picture of a call, best first.

    width    of the picture in pixels
    returns  scores (n,) of at least `score_min`, rows (n, 14): left, top, right, bottom, five points (x, y)
    """
    if "scores" in outputs:
        found = [_as_they_are(outputs, score_min)]
    else:
        found = [_level(outputs, stride, width // stride, score_min) for stride in STRIDES]
    scores, rows = (np.concatenate([level[part] for level in found]) for part in (0, 1))
    if len(scores) < 2:
        return scores, rows
    keep = _suppress(rows[:, :4], scores)
    return scores[keep], rows[keep]


def overlap(box: F32, others: F32) -> F32:
    """Intersection over union of one box (4,) with others (n, 4): left, top, right, bottom."""
    shared = np.maximum(np.minimum(others[:, 2:], box[2:]) - np.maximum(others[:, :2], box[:2]), 0)
    shared, sides = shared[:, 0] * shared[:, 1], others[:, 2:] - others[:, :2]
    areas = sides[:, 0] * sides[:, 1] + (box[2] - box[0]) * (box[3] - box[1])
    result: F32 = shared / np.maximum(areas - shared, 1e-12)
    return result


def _as_they_are(outputs: Mapping[str, NDArray[np.float32]], score_min: float) -> tuple[F32, F32]:
    """Decode outputs that are boxes and points in picture pixels already."""
    score = outputs["scores"][0]
    chosen = np.flatnonzero(score >= score_min)
    rows = np.concatenate([outputs["boxes"][0, chosen], outputs["points"][0, chosen]], 1)
    return score[chosen], rows.astype(np.float32)


def _level(outputs: Mapping[str, NDArray[np.float32]], stride: int, columns: int, score_min: float) -> tuple[F32, F32]:
    """Decode one stride of YuNet."""
    face, present = outputs[f"cls_{stride}"][0, :, 0], outputs[f"obj_{stride}"][0, :, 0]
    likely = np.flatnonzero(face * present >= score_min * score_min * 0.99)  # hardly any: only these are worked out
    if not len(likely):
        return _NOTHING
    score = np.sqrt(np.clip(face[likely], 0, 1) * np.clip(present[likely], 0, 1))
    chosen, score = likely[score >= score_min], score[score >= score_min]
    cell = np.stack([chosen % columns, chosen // columns], 1).astype(np.float32)
    box = outputs[f"bbox_{stride}"][0, chosen]
    points = outputs[f"kps_{stride}"][0, chosen].reshape(-1, 5, 2)
    centre = (cell + box[:, :2]) * stride
    half = np.exp(np.minimum(box[:, 2:], 10.0)) * (stride / 2)
    corners = np.concatenate([centre - half, centre + half], 1)
    landmarks = ((points + cell[:, None]) * stride).reshape(-1, 10)
    return score, np.concatenate([corners, landmarks], 1).astype(np.float32)


def _suppress(boxes: F32, scores: F32) -> list[int]:
    """Greedy non-maximum suppression: indices kept, best score first."""
    order = np.argsort(-scores, kind="stable")
    kept: list[int] = []
    while len(order):
        best, order = int(order[0]), order[1:]
        kept.append(best)
        if len(order):
            order = order[overlap(boxes[best], boxes[order]) <= OVERLAP_LIMIT]
    return kept
