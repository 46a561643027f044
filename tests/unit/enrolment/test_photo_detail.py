"""A small face blown up is refused, a real one of any size is not: by number of details, not of pixels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from device.domain.sight import U8
from device.enrolment.engine_photo_reader import EnginePhotoReader
from device.enrolment.model_sessions import ModelSessions
from device.enrolment.photo_detail import detail_px
from device.enrolment.photo_file import decode_upright
from device.enrolment.photo_reader import PhotoFace
from device.enrolment.rules import DETAIL_FULL_PX, DETAIL_MIN_PX, Outcome, assess, most_central

FILTERS = {"cubic": cv2.INTER_CUBIC, "linear": cv2.INTER_LINEAR, "lanczos": cv2.INTER_LANCZOS4}


class OneFace:
    """PhotoReader of one frontal face with a given height and amount of detail."""

    blurred_below = 0.0

    def __init__(self, height: float, detail: float) -> None:
        box = np.array([0, 0, height * 0.8, height], np.float32)
        self.face = replace(PhotoFace(box, np.zeros((5, 2), np.float32), 0.9, 1.0, 0.0), detail_px=detail)

    def read(self, rgb: U8) -> list[PhotoFace]:
        return [self.face]

    def template(self, rgb: U8, face: PhotoFace) -> np.ndarray:
        return np.ones(128, np.float32)


def judged(height: float, detail: float) -> Outcome:
    return assess(np.zeros((800, 800, 3), np.uint8), OneFace(height, detail))


def test_a_face_blown_up_is_refused_with_both_sizes() -> None:
    outcome = judged(235, 16.2)
    assert outcome.template is None
    assert outcome.rejected == (
        "an enlarged small picture: the face is 235 px high and shows the detail of one of about 16 px; "
        "use the photo that it was made from"
    )


def test_a_face_with_little_detail_is_enrolled_with_a_warning() -> None:
    outcome = judged(235, DETAIL_FULL_PX - 6)
    assert outcome.template is not None
    assert outcome.warnings == ("little detail: the face is 235 px high and shows as much as one of about 34 px",)
    assert judged(235, DETAIL_FULL_PX).warnings == ()


def test_the_limit_of_a_small_face_follows_its_height() -> None:
    assert judged(36, 26).template is not None, "as much detail as it has pixels for"
    assert judged(36, 20).template is None
    assert judged(200, DETAIL_MIN_PX - 0.1).template is None
    assert judged(200, DETAIL_MIN_PX).template is not None


def test_a_reader_that_does_not_measure_detail_refuses_nobody_for_it() -> None:
    assert judged(200, float("inf")).warnings == ()


@pytest.mark.parametrize("crop", [np.zeros((112, 112, 3), np.uint8), np.full((112, 112, 3), 255, np.uint8)])
def test_a_blank_crop_has_a_finite_amount_of_detail(crop: U8) -> None:
    assert 0 <= detail_px(crop) < DETAIL_MIN_PX


def test_less_detail_is_measured_as_less() -> None:
    rough = np.random.default_rng(1).integers(0, 255, (112, 112, 3), dtype=np.uint8)
    seen = []
    for side in (16, 24, 40, 80, 112):
        small = cv2.resize(rough, (side, side), interpolation=cv2.INTER_AREA)
        seen.append(detail_px(np.asarray(cv2.resize(small, (112, 112), interpolation=cv2.INTER_CUBIC), np.uint8)))
    assert seen == sorted(seen)
    assert seen[0] < DETAIL_MIN_PX < DETAIL_FULL_PX < seen[-1]


@pytest.fixture(scope="module")
def engine_reader(models_ready: Path) -> EnginePhotoReader:
    return EnginePhotoReader(ModelSessions("onnxruntime", threads=1))


@pytest.mark.parametrize("enlarged", FILTERS)
def test_real_photos_are_enrolled_and_the_same_ones_blown_up_from_16_px_are_refused(
    enlarged: str, samples: Callable[[str], list[Path]], engine_reader: EnginePhotoReader
) -> None:
    refused = tried = 0
    for photo in samples("public")[:6]:
        rgb = decode_upright(photo.read_bytes())
        assert rgb is not None
        rgb = np.asarray(cv2.resize(rgb, None, fx=512 / max(rgb.shape), fy=512 / max(rgb.shape)), np.uint8)
        faces = engine_reader.read(rgb)
        if not faces:
            continue
        face = most_central(faces, width=rgb.shape[1], height=rgb.shape[0])
        if face.height_px < 90:
            continue
        assert assess(rgb, engine_reader).template is not None, photo.name
        scale = 16 / face.height_px
        small = cv2.resize(rgb, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        large = cv2.resize(small, (rgb.shape[1], rgb.shape[0]), interpolation=FILTERS[enlarged])
        outcome = assess(np.asarray(large, np.uint8), engine_reader)
        tried += 1
        refused += outcome.template is None
    assert tried >= 3
    assert refused >= tried - 1
