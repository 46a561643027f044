"""The second look: a patch in which the face has a good size, and only the face that was asked for."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from device.domain.sight import F32, U8, Face
from device.vision.detector import Detector
from device.vision.refine import FACE_IN_PATCH_PX, OTHER_FACE_IN_PATCH_PX, PATCH_PX, Refiner, face_px_of

MakeFace = Callable[..., Face]


class FakeDetector(Detector):
    """Finds what it is given, and keeps what it was shown."""

    def __init__(self, *found: Face) -> None:
        self.found = list(found)
        self.frame_size = (0.0, 0.0)
        self.origin = (0.0, 0.0)

    def detect(
        self, picture: U8, *, frame_size: tuple[float, float], origin: tuple[float, float] = (0.0, 0.0)
    ) -> list[Face]:
        assert picture.shape == (PATCH_PX, PATCH_PX, 3)
        self.frame_size, self.origin = frame_size, origin
        return self.found


class Cutter:
    """Stands for `warp` of a frame: gives a patch that is not blank."""

    def __init__(self) -> None:
        self.to_patch: F32 = np.zeros((2, 3), np.float32)
        self.patch: U8 = np.zeros(0, np.uint8)

    def __call__(self, to_patch: F32, size: tuple[int, int]) -> U8:
        self.to_patch = to_patch
        self.patch = np.full((size[1], size[0], 3), 99, np.uint8)
        return self.patch


@pytest.mark.parametrize("height", [20.0, 72.0, 400.0])
def test_the_patch_shows_the_face_in_its_middle_at_the_detectors_best_size(height: float, face_at: MakeFace) -> None:
    detector, cut, face = FakeDetector(), Cutter(), face_at(500, 300, height)
    Refiner(detector).refine(cut, face)
    corners = cut.to_patch[:, :2] @ face.box.reshape(2, 2).T + cut.to_patch[:, 2:]
    assert corners[1, 1] - corners[1, 0] == pytest.approx(FACE_IN_PATCH_PX, rel=1e-4)
    assert corners.mean(1).tolist() == pytest.approx([PATCH_PX / 2, PATCH_PX / 2], abs=0.05)


def test_looks_at_one_person_are_taken_at_two_scales_in_turns(face_at: MakeFace) -> None:
    cut, face, shown = Cutter(), face_at(500, 300, 50), []
    for looks in range(4):
        Refiner(FakeDetector()).refine(cut, face, face_px=face_px_of(looks))
        shown.append(float(cut.to_patch[1, 1]) * 50)
    assert shown == pytest.approx([FACE_IN_PATCH_PX, OTHER_FACE_IN_PATCH_PX] * 2)


def test_the_detector_gets_the_place_of_the_patch_in_the_frame(face_at: MakeFace) -> None:
    detector, cut = FakeDetector(), Cutter()
    Refiner(detector).refine(cut, face_at(500, 300, 36))
    assert detector.frame_size == (64.0, 64.0)
    assert detector.origin == (468.0, 268.0)
    assert (cut.to_patch @ np.array([*detector.origin, 1.0])).tolist() == pytest.approx([0, 0], abs=1e-3)


def test_the_same_face_comes_back_with_its_new_landmarks(face_at: MakeFace) -> None:
    better = face_at(503, 301, 78, yaw=0.2)
    assert Refiner(FakeDetector(better)).refine(Cutter(), face_at(500, 300, 80)) is better


def test_a_neighbour_in_the_patch_is_not_the_face(face_at: MakeFace) -> None:
    face, near, neighbour = face_at(500, 300, 80), face_at(504, 300, 80, score=0.5), face_at(545, 300, 80, score=0.99)
    assert Refiner(FakeDetector(neighbour, near)).refine(Cutter(), face) is near
    assert Refiner(FakeDetector(neighbour)).refine(Cutter(), face) is None


def test_no_face_in_the_patch_is_no_face() -> None:
    face = Face(np.array([0, 0, 40, 50], np.float32), np.zeros((5, 2), np.float32), 0.6)
    assert Refiner(FakeDetector()).refine(Cutter(), face) is None


def test_a_box_without_height_is_survived() -> None:
    face = Face(np.full(4, 50, np.float32), np.zeros((5, 2), np.float32), 0.6)
    assert Refiner(FakeDetector()).refine(Cutter(), face) is None


def test_the_patch_is_black_afterwards(face_at: MakeFace) -> None:
    cut = Cutter()
    Refiner(FakeDetector(face_at(500, 300))).refine(cut, face_at(500, 300))
    assert not cut.patch.any()
