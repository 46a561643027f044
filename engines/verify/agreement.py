"""Agreement of two outputs: boxes that still overlap, templates that still point one way.

1. A detector's boxes are those that a device would start a track from (SURE), of each picture; two of them are one face
   when they share at least MATCHED, the most similar first. The rest was found by one side only.
2. A recogniser's templates are compared over faces alone. Noise and blank pictures show where two runtimes differ most,
   but nobody is recognised by them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from engines.decoding import decoded, overlap
from engines.runner import F32, U8, Runner
from engines.verify.synthetic_faces import crop, crowd, draw, finished, texture

SURE = 0.45  # weaker detections never start a track (device.enrolment.model_sessions)
MATCHED = 0.5
LEAST_COSINE = 0.98
"""Of a template of a drawn face in any precision: int8 on ONNX Runtime keeps .994, a broken one .91 (2026-11-24)."""
GREY = 128
ROWS_PX = (32, 48, 72)
"""Heights of the faces in the pictures with many: the smallest that is searched, and twice a little more."""


@dataclass(frozen=True, slots=True)
class Boxes:
    """Rule 1, over some pictures. The overlaps are None when no face was found by both."""

    faces: str
    pictures: int
    both: int
    only_first: int
    only_second: int
    least_iou: float | None
    mean_iou: float | None


@dataclass(frozen=True, slots=True)
class Alike:
    """Cosines between the two templates of each of some faces (rule 2)."""

    faces: str
    count: int
    least: float
    mean: float


def planted(size: tuple[int, int]) -> list[U8]:
    """Pictures (1, *size, 3) with synthetic faces: one to four large ones, and rows of small ones."""
    height, width = size
    pictures = [crowd(size, kinds) for kinds in ((0, 1, 2, 3), (3, 2, 1, 0), (1,), (2, 0))]
    for tall in ROWS_PX:
        canvas = texture(height, width)
        places = [(x, y) for y in (0.3, 0.7) for x in (0.14, 0.38, 0.62, 0.86)]
        for kind, (x, y) in enumerate(places if min(height, width / 2) > 3 * tall else places[:1]):
            canvas = draw(canvas, (width * x, height * y), tall, kind)
        pictures.append(finished(canvas))
    return pictures


def drawn_faces(size: tuple[int, int]) -> list[U8]:
    """Eight synthetic crops (1, *size, 3), as for a recogniser."""
    return [crop(min(size), kind) for kind in range(8)]


def tiled(squares: Sequence[U8], size: tuple[int, int]) -> list[U8]:
    """Square pictures (h, h, 3), all of one size, side by side in grey pictures (1, *size, 3); none where none fits."""
    side = squares[0].shape[0] if len(squares) else 0
    places = [(y, x) for y in range(size[0] // side) for x in range(size[1] // side)] if side else []
    pictures = []
    for start in range(0, len(squares), len(places)) if places else ():
        picture = np.full((1, *size, 3), GREY, np.uint8)
        for square, (y, x) in zip(squares[start : start + len(places)], places, strict=False):
            picture[0, y * side : (y + 1) * side, x * side : (x + 1) * side] = square
        pictures.append(picture)
    return pictures


def boxes(first: Runner, second: Runner, pictures: Sequence[U8], faces: str) -> Boxes:
    """Compare two detectors over pictures (1, H, W, 3); `faces` describes the faces."""
    shares: list[float] = []
    alone = [0, 0]
    for picture in pictures:
        one, other = (_found(runner.run(picture), picture.shape[2]) for runner in (first, second))
        here = matched(one, other)
        shares += here
        alone[0] += len(one) - len(here)
        alone[1] += len(other) - len(here)
    least, mean = (min(shares), float(np.mean(shares))) if shares else (None, None)
    return Boxes(faces, len(pictures), len(shares), alone[0], alone[1], least, mean)


def matched(one: F32, other: F32) -> list[float]:
    """Overlaps of the pairs of two sets of boxes (n, 4), each box in one pair at most (rule 1)."""
    if not len(one) or not len(other):
        return []
    shares = np.stack([overlap(box, other) for box in one])
    found = []
    while shares.size and (best := float(shares.max())) >= MATCHED:
        row, column = np.unravel_index(int(shares.argmax()), shares.shape)
        found.append(min(best, 1.0))
        shares[row, :] = shares[:, column] = -1.0
    return found


def templates(first: Runner, second: Runner, crops: Sequence[U8], faces: str) -> Alike:
    """Compare two recognisers over crops (1, H, W, 3), at least one; `faces` describes the faces."""
    cosines = [_cosine(first.run(crop)["template"][0].copy(), second.run(crop)["template"][0]) for crop in crops]
    return Alike(faces, len(cosines), min(cosines), float(np.mean(cosines)))


def _found(outputs: Mapping[str, F32], width: int) -> F32:
    return decoded(outputs, width, SURE)[1][:, :4]


def _cosine(one: F32, other: F32) -> float:
    a, b = one.astype(np.float64), other.astype(np.float64)
    return min(1.0, float(a @ b) / max(float(np.linalg.norm(a) * np.linalg.norm(b)), 1e-12))
