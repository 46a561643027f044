"""Planes to RGB: colours by the standards, geometry by centres of pixels."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device.domain.sight import U8, ColourMatrix, Frame, Packed
from device.domain.time import MediaNs, MonotonicNs
from device.vision.picture import (
    Scaler,
    appearance_signature,
    encode_jpeg,
    fit_square,
    laplacian_energy,
    mosaic,
    warp,
    warp_rgb,
    yuv_to_rgb,
)

MakeFrame = Callable[..., Frame]
RED, GREEN, BLUE, WHITE, BLACK = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255), (0, 0, 0)


@pytest.mark.parametrize(
    ("matrix", "full_range", "yuv", "rgb"),
    [
        (ColourMatrix.BT601, False, (81, 90, 240), RED),
        (ColourMatrix.BT601, False, (145, 54, 34), GREEN),
        (ColourMatrix.BT601, False, (41, 240, 110), BLUE),
        (ColourMatrix.BT601, True, (76, 85, 255), RED),
        (ColourMatrix.BT601, True, (150, 44, 21), GREEN),
        (ColourMatrix.BT601, True, (29, 255, 107), BLUE),
        (ColourMatrix.BT709, False, (63, 102, 240), RED),
        (ColourMatrix.BT709, False, (173, 42, 26), GREEN),
        (ColourMatrix.BT709, False, (32, 240, 118), BLUE),
        (ColourMatrix.BT709, True, (54, 99, 255), RED),
        (ColourMatrix.BT2020, False, (74, 97, 240), RED),
        (ColourMatrix.BT2020, False, (164, 47, 25), GREEN),
        (ColourMatrix.BT2020, False, (29, 240, 119), BLUE),
        (ColourMatrix.BT2020, True, (67, 92, 255), RED),
        (ColourMatrix.BT709, False, (235, 128, 128), WHITE),
        (ColourMatrix.BT709, False, (16, 128, 128), BLACK),
        (ColourMatrix.BT2020, True, (255, 128, 128), WHITE),
        (ColourMatrix.BT2020, True, (0, 128, 128), BLACK),
    ],
)
def test_primary_colours_come_back_as_the_standards_code_them(
    matrix: ColourMatrix, full_range: bool, yuv: tuple[int, int, int], rgb: tuple[int, int, int]
) -> None:
    found = yuv_to_rgb(matrix, full_range) @ np.array([*yuv, 1.0])
    assert np.abs(found - rgb).max() <= 2.5  # the codes are rounded, and one step of Cb is 1.8 steps of blue


@pytest.mark.parametrize("matrix", list(ColourMatrix))
@pytest.mark.parametrize("full_range", [True, False])
def test_a_crop_has_the_colours_of_the_stream(matrix: ColourMatrix, full_range: bool, frame_of: MakeFrame) -> None:
    rgb = np.zeros((64, 96, 3), np.uint8)
    rgb[:] = (200, 120, 40)
    inner = np.array([[1, 0, -2], [0, 1, -2]], np.float32)  # at the frame's rim chroma fades into the black outside
    crop = warp(frame_of(rgb, matrix=matrix, full_range=full_range), inner, (32, 32))
    assert np.abs(crop.astype(int) - (200, 120, 40)).max() <= 3


@settings(max_examples=40, deadline=None)
@given(
    scale=st.floats(0.13, 3.0),
    angle=st.floats(-np.pi, np.pi),
    centre=st.tuples(st.floats(90, 160), st.floats(90, 160)),
)
def test_every_crop_pixel_shows_the_place_that_the_map_says(
    scale: float, angle: float, centre: tuple[float, float], frame_of: MakeFrame
) -> None:
    """On a luma ramp a pixel's value gives its place, also after reduction; two grey levels for rounding."""
    side = 250
    ramps = np.tile(np.arange(side, dtype=np.uint8), (side, 1)), np.tile(np.arange(side, dtype=np.uint8), (side, 1)).T
    size = max(4, min(32, int(scale * 60)))
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    to_crop = np.hstack([turn, (size / 2 - turn @ centre)[:, None]]).astype(np.float32)
    inverse = cv2.invertAffineTransform(to_crop.astype(np.float64))
    grid = np.stack(np.meshgrid(np.arange(size), np.arange(size)), -1)
    place = grid @ inverse[:, :2].T + inverse[:, 2]
    inside = np.all((place > 20) & (place < side - 21), axis=2)
    for axis, ramp in enumerate(ramps):
        crop = warp(frame_of(np.ascontiguousarray(ramp)), to_crop, (size, size))
        off = np.abs(crop[:, :, 0].astype(float) - place[:, :, axis])
        assert off[inside].max(initial=0.0) <= 2.0


@pytest.mark.parametrize("scale", [1.0, 0.5, 0.25, 0.2])
def test_chroma_sits_in_the_middle_of_its_four_luma_pixels(scale: float, frame_of: MakeFrame) -> None:
    """Cb rises by one a chroma pixel, so at luma x it is (x - 0.5) / 2; blue is luma + 1.772 (Cb - 128)."""
    u = np.tile(np.arange(60, 180, dtype=np.uint8), (60, 1))
    frame = frame_of(np.full((120, 240), 128, np.uint8), np.ascontiguousarray(u))
    size = int(20 * scale) + 8
    shift = size / 2 - scale * np.array([120.0, 60.0])
    crop = warp(frame, np.array([[scale, 0, shift[0]], [0, scale, shift[1]]], np.float32), (size, size))
    x = (np.arange(size) - shift[0]) / scale
    expected = 128 + 1.772 * (60 + (x - 0.5) / 2 - 128)
    assert np.abs(crop[size // 2, :, 2] - expected).max() <= 1.8  # one step of Cb


@pytest.mark.parametrize("full_range", [True, False])
@pytest.mark.parametrize("matrix", list(ColourMatrix))
@pytest.mark.parametrize("scale", [1.0, 0.2])
def test_outside_the_frame_is_black(matrix: ColourMatrix, full_range: bool, scale: float, frame_of: MakeFrame) -> None:
    frame = frame_of(np.full((100, 100, 3), 220, np.uint8), matrix=matrix, full_range=full_range)
    for across, down in ((-200.0, 0.0), (200.0, 0.0), (0.0, 200.0), (-500.0, -500.0)):
        to_crop = np.array([[scale, 0, across * scale], [0, scale, down * scale]], np.float32)
        assert warp(frame, to_crop, (20, 20)).max() == 0
    half_out = warp(frame, np.array([[1, 0, 10], [0, 1, 0]], np.float32), (20, 20))
    assert half_out[:, :9].max() == 0
    assert half_out[:, 11:].min() >= 217


@pytest.mark.parametrize("factor", [2, 3, 4, 7])
def test_a_strong_reduction_averages_areas(factor: int, frame_of: MakeFrame) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (168, 168), dtype=np.uint8)
    scale, off = 1 / factor, (factor - 1) / 2
    to_crop = np.array([[scale, 0, -off * scale], [0, scale, -off * scale]], np.float32)
    side = 168 // factor
    crop = warp(frame_of(noise), to_crop, (side, side))[:, :, 0]
    means = noise.reshape(side, factor, side, factor).mean((1, 3))
    assert np.abs(crop[2:-2, 2:-2] - means[2:-2, 2:-2]).max() <= 1.0


@pytest.mark.parametrize("scale", [1.4, 0.9, 0.45, 0.15])
def test_a_frame_and_its_rgb_version_give_nearly_the_same_crop(scale: float, frame_of: MakeFrame) -> None:
    rough = np.random.default_rng(2).integers(0, 256, (30, 40, 3), dtype=np.uint8)
    rgb = np.asarray(cv2.resize(rough, (640, 480), interpolation=cv2.INTER_CUBIC), np.uint8)
    turn = scale * np.array([[0.96, -0.28], [0.28, 0.96]])
    to_crop = np.hstack([turn, (24 - turn @ np.array([320, 240]))[:, None]]).astype(np.float32)
    frame = frame_of(rgb, matrix=ColourMatrix.BT709, full_range=False)
    apart = np.abs(warp(frame, to_crop, (48, 48)).astype(int) - warp_rgb(rgb, to_crop, (48, 48)))
    assert apart.mean() < 3
    assert apart.max() < 40


def test_a_packed_frame_is_scaled_warped_and_glimpsed_as_the_rgb_that_it_is(frame_of: MakeFrame) -> None:
    rough = np.random.default_rng(3).integers(0, 256, (12, 16, 3), dtype=np.uint8)
    rgb = np.ascontiguousarray(cv2.resize(rough, (640, 480), interpolation=cv2.INTER_CUBIC))
    packed = Frame(0, MediaNs(0), MonotonicNs(0), Packed(rgb))
    planes = frame_of(rgb, full_range=False)
    to_crop = np.array([[0.3, 0.1, -60], [-0.1, 0.3, 10]], np.float32)
    np.testing.assert_array_equal(warp(packed, to_crop, (64, 64)), warp_rgb(rgb, to_crop, (64, 64)))
    small = [np.zeros((224, 320, 3), np.uint8) for _ in range(2)]
    for frame, out in zip((packed, planes), small, strict=True):
        Scaler(320, 224).scale(frame, out)
    assert np.abs(small[0].astype(int) - small[1]).mean() < 3
    looks = [np.zeros(66, np.float32) for _ in range(2)]
    for frame, look in zip((packed, planes), looks, strict=True):
        appearance_signature(frame, np.array([200, 120, 360, 320], np.float32), look)
        assert np.linalg.norm(look[:64]) == pytest.approx(1, abs=1e-5)
    assert looks[0][:64] @ looks[1][:64] > 0.99
    assert np.abs(looks[0][64:] * 224 / 255 - looks[1][64:]).max() < 1  # the planes are of limited range
    assert np.abs(looks[0][64:]).max() > 2


@pytest.mark.parametrize(("width", "height"), [(640, 352), (96, 64), (320, 320)])
@pytest.mark.parametrize("frame_size", [(1280, 720), (321, 241), (200, 700), (16, 16)])
def test_the_detectors_picture_has_the_frames_colours_whatever_its_size(
    width: int, height: int, frame_size: tuple[int, int], frame_of: MakeFrame
) -> None:
    half = ((frame_size[1] + 1) // 2, (frame_size[0] + 1) // 2)
    planes = (frame_size[1], frame_size[0]), half, half
    y, u, v = (np.full(shape, value, np.uint8) for shape, value in zip(planes, (81, 90, 240), strict=True))
    out = np.zeros((height, width, 3), np.uint8)
    Scaler(width, height).scale(frame_of(y, u, v, full_range=False), out)
    assert np.abs(out.astype(int) - RED).max() <= 3


def test_the_scaler_keeps_left_and_top_where_they_are(frame_of: MakeFrame) -> None:
    rgb = np.zeros((240, 320, 3), np.uint8)
    rgb[:60, :80] = 255
    out = np.zeros((96, 160, 3), np.uint8)
    Scaler(160, 96).scale(frame_of(rgb, full_range=False), out)
    assert out[:22, :38].min() > 240
    assert max(out[26:].max(), out[:, 42:].max()) < 15


def test_a_wiped_scaler_remembers_nothing(frame_of: MakeFrame) -> None:
    scaler = Scaler(64, 64)
    scaler.scale(frame_of(np.full((64, 64), 200, np.uint8)), np.zeros((64, 64, 3), np.uint8))
    scaler.wipe()
    assert not scaler._planes.any()


def test_a_mosaic_has_no_more_than_its_squares() -> None:
    region = np.random.default_rng(3).integers(0, 256, (40, 36, 3), dtype=np.uint8)
    mosaic(region, 4)
    assert len(np.unique(region.reshape(-1, 3), axis=0)) <= 16


def test_blur_lowers_laplacian_energy_and_blank_has_none() -> None:
    noise = np.random.default_rng(4).integers(0, 256, (96, 80, 3), dtype=np.uint8)
    blurred = np.asarray(cv2.GaussianBlur(noise, (0, 0), 4), np.uint8)
    assert laplacian_energy(noise, (40, 48)) > 5 * laplacian_energy(blurred, (40, 48))
    assert laplacian_energy(np.full((96, 80, 3), 90, np.uint8), (40, 48)) == 0.0


@given(width=st.integers(1, 900), height=st.integers(1, 900))
@settings(max_examples=40, deadline=None)
def test_a_photo_fits_into_its_square_and_maps_back(width: int, height: int) -> None:
    photo: U8 = np.full((height, width, 3), 200, np.uint8)
    square, covers = fit_square(photo, 128)
    assert square.shape == (128, 128, 3)
    shown = np.argwhere((square == 200).all(2)).max(0) + 1
    assert shown[1] * covers[0] / 128 == pytest.approx(width)
    assert shown[0] * covers[1] / 128 == pytest.approx(height)


def test_a_jpeg_shows_the_picture() -> None:
    picture = np.zeros((64, 64, 3), np.uint8)
    picture[:, 32:] = (200, 60, 60)
    decoded = cv2.imdecode(np.frombuffer(encode_jpeg(picture, 90), np.uint8), cv2.IMREAD_COLOR)
    assert decoded is not None
    back = decoded[:, :, ::-1]
    assert np.abs(back[:, 40:].astype(int) - (200, 60, 60)).max() < 12
