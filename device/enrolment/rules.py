"""Which face of a photo is enrolled, and which photo is refused.

1. No face: refused.
2. Several faces: the one whose centre is closest to the photo's centre is enrolled, with a warning; where that is not
   good enough (`Demands.alone`), the photo is refused until somebody has chosen one of them.
3. A face under MIN_FACE_PX is refused; under SMALL_FACE_PX it is enrolled with a warning.
4. A face blurrier than the reader allows is refused.
5. A face with the detail of one under DETAIL_MIN_PX, or under DETAIL_SHARE of its own height where that is less, is a
   small picture blown up: refused. Under DETAIL_FULL_PX it is enrolled with a warning.
6. A face turned far to the side is enrolled with a warning; `Demands.facing` refuses it.
7. A face the recogniser cannot make sense of is refused.

A rule that changes changes RULES too: cached outcomes of other rules are not used.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from device.domain.operating_point import MIN_FACE_PX
from device.domain.sight import F32, U8
from device.enrolment.photo_reader import PhotoFace, PhotoReader

RULES = "2"
SMALL_FACE_PX = 48.0
"""Rates by height: `MIN_FACE_PX`."""
DETAIL_MIN_PX = 28.0
DETAIL_SHARE = 0.7
DETAIL_FULL_PX = 40.0
"""A face blown up from 16 px matched at .499. Of 2,747 press photos these limits refuse 2 (0.07 %) and warn of 38
(1.4 %); both refused ones show 23 px and less (measured 2026-11-30, faces-dev and 800 of faces-dev-2).

Not every blow-up is refused: of the table in photo_detail.py some from 16 px (99th percentile 32 px) and a good third
of those from 24 px (median 26) show more than DETAIL_MIN_PX and are enrolled with a warning."""
TURNED = 1.0
"""Yaw beyond which one eye is nearly hidden; such a photo still enrols, with a warning."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of one photo: a (template_dim,) float32 template, or the reason why not; and warnings.

    face_px  height of the enrolled face in the picture that was searched, 0 when none was enrolled
    """

    template: F32 | None
    rejected: str | None = None
    warnings: tuple[str, ...] = ()
    face_px: float = 0.0


@dataclass(frozen=True, slots=True)
class Demands:
    """How strict enrolment is.

    alone   several faces are refused unless `at` chooses one
    facing  a face turned far to the side is refused
    at      the chosen face, as a point (x, y) in fractions of the upright photo's width and height
    """

    alone: bool = False
    facing: bool = False
    at: tuple[float, float] | None = None


LENIENT = Demands()


def assess(rgb: U8, reader: PhotoReader, demands: Demands = LENIENT) -> Outcome:
    """Apply the rules to one decoded (H, W, 3) uint8 RGB photo."""
    faces = reader.read(rgb)
    if not faces:
        return Outcome(None, "no face found")
    height, width = rgb.shape[:2]
    warnings = []
    if demands.at is not None:
        there = [face for face in faces if _holds(face, demands.at[0] * width, demands.at[1] * height)]
        if not there:
            return Outcome(None, f"no face at {_place(*demands.at)}; faces are at {_places(faces, width, height)}")
        face = min(there, key=lambda f: f.height_px)
    elif len(faces) > 1 and demands.alone:
        return Outcome(None, f"{len(faces)} faces found: choose one of {_places(faces, width, height)}")
    else:
        face = most_central(faces, width=width, height=height)
        if len(faces) > 1:
            warnings.append(f"{len(faces)} faces found: the most central one is enrolled")
    if face.height_px < MIN_FACE_PX:
        return Outcome(None, f"face too small: {face.height_px:.0f} px high, at least {MIN_FACE_PX:.0f} are needed")
    if face.height_px < SMALL_FACE_PX:
        warnings.append(
            f"small face: {face.height_px:.0f} px high; {SMALL_FACE_PX:.0f} or more are found more reliably"
        )
    if face.sharpness < reader.blurred_below:
        return Outcome(None, "face too blurred")
    if face.detail_px < min(DETAIL_MIN_PX, DETAIL_SHARE * face.height_px):
        return Outcome(
            None,
            f"an enlarged small picture: the face is {face.height_px:.0f} px high and shows the detail of one of about "
            f"{face.detail_px:.0f} px; use the photo that it was made from",
        )
    if face.detail_px < DETAIL_FULL_PX <= face.height_px:
        warnings.append(
            f"little detail: the face is {face.height_px:.0f} px high and shows as much as one of about "
            f"{face.detail_px:.0f} px"
        )
    if abs(face.yaw) > TURNED and demands.facing:
        return Outcome(None, "face turned far to the side: use a photo from the front")
    if abs(face.yaw) > TURNED:
        warnings.append("face turned far to the side; a frontal photo is found more reliably")
    template = reader.template(rgb, face)
    if template is None:
        return Outcome(None, "the face is too blurred, covered or turned away for a usable template")
    return Outcome(_unit(template), None, tuple(warnings), face.height_px)


def most_central(faces: Sequence[PhotoFace], *, width: int, height: int) -> PhotoFace:
    """The face whose box centre is nearest to the photo's centre; the larger one of two equally near."""

    def distance(face: PhotoFace) -> tuple[float, float]:
        across = (float(face.box[0]) + float(face.box[2])) / 2 - width / 2
        down = (float(face.box[1]) + float(face.box[3])) / 2 - height / 2
        return across * across + down * down, -face.height_px

    return min(faces, key=distance)


def _holds(face: PhotoFace, x: float, y: float) -> bool:
    left, top, right, bottom = (float(edge) for edge in face.box)
    return left <= x <= right and top <= y <= bottom


def _place(x: float, y: float) -> str:
    return f"{x:.2f};{y:.2f}"


def _places(faces: Sequence[PhotoFace], width: int, height: int) -> str:
    """Centres of faces in the form of `--face`, from left to right."""
    centres = sorted(
        ((float(f.box[0]) + float(f.box[2])) / 2 / width, (float(f.box[1]) + float(f.box[3])) / 2 / height)
        for f in faces
    )
    return ", ".join(_place(x, y) for x, y in centres)


def _unit(template: F32) -> F32:
    if template.ndim != 1 or not template.size or not np.isfinite(template).all():
        raise ValueError(f"a template is one row of finite numbers, not {template.shape}")
    unit: F32 = (template / np.linalg.norm(template)).astype(np.float32)
    return unit
