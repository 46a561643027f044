"""Labels of passages: both formats, and whose a found face is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from device.errors import BadData
from tools.dev.bench.recall.labels import FRAMES_MIN, Label, Pose, by_eye, drawn, owner
from tools.dev.clip.make import ClipTruth, FaceTruth, PassageTruth


def passage(number: int, faces: list[FaceTruth], kind: str = "stand") -> PassageTruth:
    frames = [face.frame for face in faces]
    return PassageTruth(number, f"p{number}", "a.jpg", True, min(frames), max(frames), faces, kind)


def walk(
    *, left: float = 100, height: float = 60, visible: float = 1.0, yaw: float = 0.0, frames: int = 20
) -> list[FaceTruth]:
    return [FaceTruth(n, (left, 50, left + 0.75 * height, 50 + height), visible, yaw) for n in range(frames)]


def truth(*passages: PassageTruth) -> ClipTruth:
    return ClipTruth(640, 360, 25, 100, 1, list(passages))


def test_a_drawn_label_has_the_median_height_and_the_pose_of_its_free_frames() -> None:
    faces = walk(height=40, frames=4) + [FaceTruth(n, (0, 0, 50, 90), 1.0, 35.0) for n in range(4, 15)]
    faces += [FaceTruth(n, (0, 0, 150, 200), 0.1, 0.0) for n in range(15, 40)]  # hidden: does not count
    (label,) = drawn(truth(passage(3, faces)))
    assert (label.height_px, label.heights, label.pose, label.kind) == (90, (40, 90), Pose.TURNED, "stand")
    assert (label.first, label.last, len(label.boxes)) == (0, 39, 15)


def test_a_drawn_passage_that_is_hardly_in_view_is_left_out() -> None:
    faces = walk(frames=FRAMES_MIN - 1) + [FaceTruth(n, (0, 0, 50, 60), 0.2) for n in range(30, 60)]
    assert drawn(truth(passage(1, faces))) == []
    assert len(drawn(truth(passage(1, walk(frames=FRAMES_MIN))))) == 1


def test_a_face_belongs_to_the_label_whose_box_it_covers_best() -> None:
    labels = drawn(truth(passage(1, walk(left=100)), passage(2, walk(left=130))))
    assert owner(labels, 5, (128, 52, 175, 108)) == labels[1]
    assert owner(labels, 5, (98, 48, 146, 111)) == labels[0]
    assert owner(labels, 5, (400, 48, 446, 111)) is None
    assert owner(labels, 50, (98, 48, 146, 111)) is None  # nobody is there then


def by_hand(number: int, **more: Any) -> Label:
    return Label(number, f"p{number}", 10, 20, height_px=50.0, heights=(45.0, 55.0), **more)


def test_without_boxes_a_face_must_be_within_frames_and_heights() -> None:
    labels = [by_hand(1)]
    assert owner(labels, 15, (0, 0, 40, 50)) == labels[0]
    assert owner(labels, 21, (0, 0, 40, 50)) is None
    assert owner(labels, 15, (0, 0, 90, 120)) is None
    assert owner(labels, 15, (0, 0, 20, 24)) is None


def test_a_face_that_fits_two_labels_without_places_belongs_to_none() -> None:
    assert owner([by_hand(1), by_hand(2)], 15, (0, 0, 40, 50)) is None


LABELS = {
    "clips": {
        "a.mp4": {
            "frames": 50,
            "people": [
                {
                    "name": "Ann",
                    "first": 0,
                    "last": 19,
                    "pose": "three_quarter",
                    "height": [51, 61],
                    "height_median": 54,
                },
                {"name": "Bea", "first": 5, "last": 9, "frontal": False, "sure": False},
                {
                    "person": 7,
                    "first": 0,
                    "last": 40,
                    "height": [30, 40],
                    "height_median": 35,
                    "x": [100, 300],
                    "stretches": [
                        {"first": 0, "last": 10, "x": [100, 120]},
                        {"first": 20, "last": 40, "x": [200, 300]},
                    ],
                },
            ],
        }
    }
}


def test_labels_by_eye_are_read_as_documented(tmp_path: Path) -> None:
    (tmp_path / "truth.json").write_text(json.dumps(LABELS))
    ann, bea, seventh = by_eye(tmp_path / "truth.json")["a.mp4"]
    assert (ann.person, ann.first, ann.last, ann.pose, ann.height_px) == ("Ann", 0, 19, Pose.TURNED, 54)
    assert (bea.pose, bea.sure, bea.height_px) == (Pose.PROFILE, False, None)
    assert (seventh.person, seventh.pose) == ("person 7", Pose.UNKNOWN)
    assert seventh.fit(30, (235, 0, 265, 36)) > 0
    assert seventh.fit(30, (100, 0, 130, 36)) == 0  # somebody else by the place
    assert seventh.fit(15, (100, 0, 130, 36)) == 0  # in a gap


@pytest.mark.parametrize("text", ["", "[]", '{"clips": {"a": {"people": [{"name": "x"}]}}}', '{"clips": {"a": {}}}'])
def test_labels_in_another_format_are_refused_by_name(tmp_path: Path, text: str) -> None:
    (tmp_path / "truth.json").write_text(text)
    with pytest.raises(BadData, match=r"truth\.json: no labels in the format"):
        by_eye(tmp_path / "truth.json")
