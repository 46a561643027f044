"""The similarity that puts a face upright."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device.domain.sight import F32, Face, Frame
from device.vision.align import CROP_PX, TEMPLATE, DegenerateGeometry, align, align_rgb, to_template

SIMILARITY = {
    "scale": st.floats(0.1, 12.0),
    "angle": st.floats(-np.pi, np.pi),
    "shift": st.tuples(st.floats(-300, 4000), st.floats(-300, 3000)),
}


def similarity(scale: float, angle: float, shift: tuple[float, float]) -> np.ndarray:
    """(2, 3) float64, from the template to a frame."""
    return np.array(
        [
            [scale * np.cos(angle), -scale * np.sin(angle), shift[0]],
            [scale * np.sin(angle), scale * np.cos(angle), shift[1]],
        ]
    )


def through(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    return np.asarray(points @ matrix[:, :2].T + matrix[:, 2])


@settings(deadline=None)
@given(**SIMILARITY)
def test_a_face_placed_by_a_known_similarity_comes_back_to_the_template(
    scale: float, angle: float, shift: tuple[float, float]
) -> None:
    landmarks = through(similarity(scale, angle, shift), TEMPLATE.astype(np.float64)).astype(np.float32)
    assert np.abs(through(to_template(landmarks), landmarks) - TEMPLATE).max() < 0.15


@settings(deadline=None, max_examples=60)
@given(
    noise=st.integers(0, 10_000),
    other=st.tuples(st.floats(0.97, 1.03), st.floats(-0.05, 0.05), st.floats(-2, 2), st.floats(-2, 2)),
    **SIMILARITY,
)
def test_no_other_similarity_fits_five_points_better(
    noise: int, other: tuple[float, float, float, float], scale: float, angle: float, shift: tuple[float, float]
) -> None:
    errors = np.random.default_rng(noise).normal(0, 2, (5, 2))
    landmarks = through(similarity(scale, angle, shift), TEMPLATE + errors).astype(np.float32)
    best = to_template(landmarks).astype(np.float64)
    nudge = similarity(other[0], other[1], (other[2], other[3]))
    moved = np.hstack([nudge[:, :2] @ best[:, :2], through(nudge, best[:, 2:].T).T])

    def misfit(matrix: np.ndarray) -> float:
        return float(((through(matrix, landmarks) - TEMPLATE) ** 2).sum())

    assert misfit(best) <= misfit(moved) + 0.05


def test_it_agrees_with_the_general_solution_for_a_noisy_face() -> None:
    """Umeyama 1991 in its general form: singular value decomposition of the covariance."""
    landmarks = TEMPLATE * 1.7 + np.random.default_rng(5).normal(0, 4, (5, 2)).astype(np.float32) + 40
    source, target = landmarks.astype(np.float64), TEMPLATE.astype(np.float64)
    a, b = source - source.mean(0), target - target.mean(0)
    u, d, vt = np.linalg.svd(b.T @ a)
    flip = np.diag([1.0, np.sign(np.linalg.det(u @ vt))])
    turn = u @ flip @ vt * float((d * np.diag(flip)).sum() / (a**2).sum())
    expected = np.hstack([turn, (target.mean(0) - turn @ source.mean(0))[:, None]])
    assert np.abs(to_template(landmarks) - expected).max() < 1e-4


@pytest.mark.parametrize(
    "landmarks",
    [
        np.full((5, 2), 37.0),
        np.full((5, 2), 37.0) + np.eye(5, 2) * 0.5,
        np.full((5, 2), np.nan),
        np.zeros((5, 2)),
    ],
)
def test_landmarks_without_extent_are_no_face(landmarks: F32, frame_of: Callable[..., Frame]) -> None:
    face = Face(np.zeros(4, np.float32), landmarks.astype(np.float32), 0.9)
    with pytest.raises(DegenerateGeometry, match="coincide"):
        align(frame_of(np.zeros((50, 50), np.uint8)), face)
    with pytest.raises(DegenerateGeometry, match="coincide"):
        align_rgb(np.zeros((50, 50, 3), np.uint8), face)


@settings(deadline=None, max_examples=150)
@given(points=st.lists(st.floats(-5000, 5000, width=32), min_size=10, max_size=10))
def test_whatever_five_points_a_detector_gives_there_is_a_crop_or_a_reason(
    points: list[float], frame_of: Callable[..., Frame]
) -> None:
    face = Face(np.zeros(4, np.float32), np.array(points, np.float32).reshape(5, 2), 0.9)
    try:
        crop = align(frame_of(np.full((48, 64), 90, np.uint8)), face)
    except DegenerateGeometry:
        return
    assert crop.shape == (CROP_PX, CROP_PX, 3)


def test_points_that_fit_no_upright_face_at_all_are_no_face(frame_of: Callable[..., Frame]) -> None:
    """Five points whose correlation with the template is nil: the best similarity shrinks them to one point."""
    centred = (TEMPLATE - TEMPLATE.mean(0)).astype(np.float64)
    basis = np.stack([centred.reshape(-1), (centred @ np.array([[0, 1], [-1, 0]])).reshape(-1)])
    mean = np.stack([np.tile([1.0, 0.0], 5), np.tile([0.0, 1.0], 5)])
    odd = np.linalg.svd(np.vstack([basis, mean]))[2][-1].reshape(5, 2) * 40 + 60
    with pytest.raises(DegenerateGeometry, match="landmarks"):
        align(frame_of(np.zeros((50, 50), np.uint8)), Face(np.zeros(4, np.float32), odd.astype(np.float32), 0.9))


@pytest.mark.parametrize("angle", [0.0, 0.6, -1.2, 3.0])
@pytest.mark.parametrize("scale", [0.7, 1.5, 4.0])
def test_a_tilted_face_is_upright_in_the_crop(scale: float, angle: float, frame_of: Callable[..., Frame]) -> None:
    """Dots painted at the landmarks are found again at the template's places, to a pixel and a half."""
    matrix = similarity(scale, angle, (300 - 56 * scale, 300 - 60 * scale))
    landmarks = through(matrix, TEMPLATE.astype(np.float64))
    middle = landmarks.mean(0)
    landmarks += 600 - middle
    luma = np.full((1200, 1200), 40, np.uint8)
    for x, y in landmarks:
        cv2.circle(luma, (round(x), round(y)), max(2, round(3 * scale)), 230, -1)
    crop = align(frame_of(luma), Face(np.zeros(4, np.float32), landmarks.astype(np.float32), 0.9))[:, :, 0]
    for x, y in TEMPLATE:
        patch = crop[round(y) - 8 : round(y) + 9, round(x) - 8 : round(x) + 9].astype(float) - 40
        rows, columns = np.mgrid[-8:9, -8:9]
        assert abs((patch * columns).sum() / patch.sum()) < 1.5
        assert abs((patch * rows).sum() / patch.sum()) < 1.5
