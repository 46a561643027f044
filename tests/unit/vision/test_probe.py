"""The probe shows one person; other people in it cannot be recognised."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest

from device.domain.sight import U8, Face, Frame
from device.vision.probe import BLUR_GRID, take_shot

MakeFace = Callable[..., Face]
MakeFrame = Callable[..., Frame]
SIDE = 160


def crowd(*faces: Face) -> U8:
    """(480, 640) luma: each face's box is filled with fine stripes, the rest is grey."""
    luma = np.full((480, 640), 110, np.uint8)
    for face in faces:
        left, top, right, bottom = np.clip(face.box, 0, 640).astype(int)
        luma[top:bottom, left:right] = np.where(np.arange(left, right) // 4 % 2, 40, 210)
    return luma


def detail(region: U8) -> float:
    """Mean change from pixel to pixel across."""
    return float(np.abs(np.diff(region[:, :, 0].astype(int), axis=1)).mean())


def place(face: Face, other: Face) -> tuple[int, int, int, int]:
    """Where `other`'s box lies in the shot of `face`: left, top, right, bottom."""
    scale = SIDE / (1.7 * face.height_px)
    centre = (face.box[:2] + face.box[2:]) / 2
    points = (other.box.reshape(2, 2) - centre) * scale + SIDE / 2
    left, top, right, bottom = np.clip(points, 0, SIDE).astype(int).reshape(4)
    return int(left), int(top), int(right), int(bottom)


def test_the_face_is_in_the_middle_and_sharp(face_at: MakeFace, frame_of: MakeFrame) -> None:
    face, out = face_at(300, 240, 100), np.zeros((SIDE, SIDE, 3), np.uint8)
    take_shot(frame_of(crowd(face)), face, [face], out)
    left, top, right, bottom = place(face, face)
    assert abs(left + right - SIDE) <= 2
    assert abs(top + bottom - SIDE) <= 2
    assert detail(out[top + 4 : bottom - 4, left + 4 : right - 4]) > 20
    assert detail(out[: top - 4]) < 1


@pytest.mark.parametrize(("x", "y", "height"), [(385, 240, 100), (300, 150, 60), (225, 200, 90), (370, 310, 140)])
def test_a_neighbour_is_a_few_flat_squares(
    x: float, y: float, height: float, face_at: MakeFace, frame_of: MakeFrame
) -> None:
    face, other = face_at(300, 240, 100), face_at(x, y, height)
    out = np.zeros((SIDE, SIDE, 3), np.uint8)
    take_shot(frame_of(crowd(face, other)), face, [face, other], out)
    left, top, right, bottom = place(face, other)
    shown = out[top:bottom, left:right]
    assert shown.size > 0
    assert len(np.unique(shown.reshape(-1, 3), axis=0)) <= BLUR_GRID**2


def test_neighbours_of_equal_pixels_cannot_be_distinguished(face_at: MakeFace, frame_of: MakeFrame) -> None:
    """Two different textures of equal means leave the same squares."""
    face, other = face_at(300, 240, 100), face_at(390, 240, 100)
    shots = []
    for seed in (1, 2):
        luma = crowd(face)
        left, top, right, bottom = other.box.astype(int)
        noise = np.random.default_rng(seed).normal(0, 60, (bottom - top, right - left))
        luma[top:bottom, left:right] = np.clip(128 + cv2.GaussianBlur(noise, (0, 0), 1), 0, 255)
        out = np.zeros((SIDE, SIDE, 3), np.uint8)
        take_shot(frame_of(luma), face, [face, other], out)
        shots.append(out[place(face, other)[1] : place(face, other)[3], place(face, other)[0] + 8 :].astype(int))
    assert np.abs(shots[0] - shots[1]).mean() < 4


def test_the_same_face_detected_twice_is_not_hidden(face_at: MakeFace, frame_of: MakeFrame) -> None:
    face, again = face_at(300, 240, 100), face_at(304, 243, 97)
    out = np.zeros((SIDE, SIDE, 3), np.uint8)
    take_shot(frame_of(crowd(face)), face, [again], out)
    left, top, right, bottom = place(face, face)
    assert detail(out[top + 4 : bottom - 4, left + 4 : right - 4]) > 20


def test_a_face_at_the_border_gives_a_shot_that_is_black_outside(face_at: MakeFace, frame_of: MakeFrame) -> None:
    face, out = face_at(5, 240, 100), np.full((SIDE, SIDE, 3), 77, np.uint8)
    take_shot(frame_of(crowd(face)), face, [face], out)
    assert out[:, :60].max() == 0
    assert out[:, 90:].max() > 100


def test_far_away_people_do_no_harm(face_at: MakeFace, frame_of: MakeFrame) -> None:
    face = face_at(300, 240, 60)
    alone, among = np.zeros((SIDE, SIDE, 3), np.uint8), np.zeros((SIDE, SIDE, 3), np.uint8)
    take_shot(frame_of(crowd(face)), face, [face], alone)
    take_shot(frame_of(crowd(face)), face, [face, face_at(600, 40, 60), face_at(20, 460, 60), face_at(-90, 0)], among)
    assert np.array_equal(alone, among)
