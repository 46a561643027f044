"""Photos of different people in one person's folder: a likely false alert, so it is reported."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest

from device.domain.sight import F32, U8
from device.enrolment.folder import enrol
from device.enrolment.photo_reader import PhotoFace


class BrightnessReader:
    """One face a photo; dark photos show one person, bright ones another."""

    blurred_below = 0.0

    def read(self, rgb: U8) -> Sequence[PhotoFace]:
        box = np.array([10, 10, 90, 90], np.float32)
        return [PhotoFace(box, np.zeros((5, 2), np.float32), 0.9, 1.0, 0.0)]

    def template(self, rgb: U8, face: PhotoFace) -> F32:
        return np.asarray(np.eye(128)[int(rgb.mean() > 128)], np.float32)


@pytest.mark.parametrize(("shades", "warned"), [((40, 60), False), ((40, 200), True)])
def test_photos_of_two_people_in_one_folder_are_warned_of(
    shades: tuple[int, int], warned: bool, tmp_path: Path
) -> None:
    (tmp_path / "ann").mkdir()
    for shade in shades:
        cv2.imwrite(str(tmp_path / "ann" / f"{shade}.png"), np.full((100, 100, 3), shade, np.uint8))
    output = [warning["reason"] for warning in enrol(tmp_path, [BrightnessReader()], progress=False).warnings]
    assert any("different people" in reason for reason in output) is warned
