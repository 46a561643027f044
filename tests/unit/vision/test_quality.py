"""Quality from geometry orders shots of one person; quality from the recogniser's output judges templates."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from device.domain.sight import Face
from device.vision.quality import NOISE, geometric, pose, quality_of, sharpness, template_quality, weight_of
from engines.cards.catalogue import card
from engines.cards.model_card import RECOGNISER_DEFAULT, Lengths

MakeFace = Callable[..., Face]


@pytest.mark.parametrize("yaw", [-1.2, -0.5, 0.0, 0.3, 1.0])
def test_yaw_is_the_noses_way_from_the_middle_of_the_eyes(yaw: float, face_at: MakeFace) -> None:
    found = pose(face_at(100, 100, 80, yaw=yaw))
    assert found.yaw == pytest.approx(yaw, abs=1e-5)
    assert found.inter_eye_px == pytest.approx(32)


@given(angle=st.floats(-np.pi, np.pi), yaw=st.floats(-1.4, 1.4))
def test_a_tilted_head_keeps_its_yaw(angle: float, yaw: float, face_at: MakeFace) -> None:
    upright = face_at(100, 100, 80, yaw=yaw)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    middle = (upright.landmarks[0] + upright.landmarks[1]) / 2
    # The nose on the line of the eyes, so that turning about their middle is a pure roll.
    upright.landmarks[2, 1] = middle[1]
    tilted = ((upright.landmarks - middle) @ turn.T + middle).astype(np.float32)
    assert pose(Face(upright.box, tilted, 0.9)).yaw == pytest.approx(yaw, abs=1e-3)


def test_eyes_that_coincide_are_a_full_profile(face_at: MakeFace) -> None:
    face = face_at(100, 100)
    face.landmarks[1] = face.landmarks[0]
    assert abs(pose(face).yaw) >= 1.0


def test_yaw_is_bounded(face_at: MakeFace) -> None:
    assert pose(face_at(100, 100, yaw=40)).yaw == 1.5


@pytest.mark.parametrize(("height", "expected"), [(32, 0.53), (48, 0.83), (64, 0.94)])
def test_height_counts_as_measured(height: float, expected: float, face_at: MakeFace) -> None:
    assert geometric(face_at(300, 300, height, score=0.9), 640, 640) == pytest.approx(expected, abs=0.006)


@given(
    height=st.floats(10, 300),
    taller=st.floats(0, 200),
    yaw=st.floats(0, 1.4),
    straighter=st.floats(0, 1),
    score=st.floats(0.45, 1.0),
    surer=st.floats(0, 0.5),
)
def test_a_shot_that_is_better_in_one_way_and_no_worse_in_the_others_is_no_worse(
    height: float, taller: float, yaw: float, straighter: float, score: float, surer: float, face_at: MakeFace
) -> None:
    worse = geometric(face_at(1000, 1000, height, yaw=yaw, score=score), 2000, 2000)
    better = geometric(
        face_at(1000, 1000, height + taller, yaw=yaw * (1 - straighter), score=min(1.0, score + surer)), 2000, 2000
    )
    assert 0.0 <= worse <= better + 1e-5 <= 1.0 + 1e-5  # pixels are float32


@pytest.mark.parametrize(("x", "y"), [(20, 300), (620, 300), (300, 20), (300, 620)])
def test_a_face_that_the_border_cuts_is_worth_half(x: float, y: float, face_at: MakeFace) -> None:
    whole, cut = geometric(face_at(300, 300, 80), 640, 640), geometric(face_at(x, y, 80), 640, 640)
    assert cut == pytest.approx(whole / 2)


@given(poor=st.floats(0.01, 50), span=st.floats(0.01, 50), one=st.floats(0, 100), more=st.floats(0, 100))
def test_a_longer_output_is_no_worse_template(poor: float, span: float, one: float, more: float) -> None:
    lengths = Lengths(poor, poor + span, "")
    shorter, longer = template_quality(lengths, one, 0.5), template_quality(lengths, one + more, 0.5)
    assert (shorter is None) == (one < 1e-6 or (one - poor) / span < NOISE)
    if shorter is not None:
        assert longer is not None
        assert 0.0 <= quality_of(shorter) <= quality_of(longer) <= 1.0
        assert 0.0 < weight_of(shorter) <= weight_of(longer)


@pytest.mark.parametrize("geometry", [0.0, 0.7])
def test_the_default_recognisers_scale_is_0_and_1_at_its_limits_whatever_the_geometry(geometry: float) -> None:
    sface = card(RECOGNISER_DEFAULT).lengths
    assert (template_quality(sface, 8.5, geometry), template_quality(sface, 12.0, geometry)) == (0, 1)
    assert template_quality(sface, 6.9, geometry) is None, "noise"


def test_a_poor_template_is_used_and_hardly_counts_beside_a_good_one() -> None:
    sface = card(RECOGNISER_DEFAULT).lengths
    poor, good = template_quality(sface, 7.0, 0.5), template_quality(sface, 12.0, 0.5)
    assert poor is not None
    assert good is not None
    assert weight_of(poor) < 0.1 * weight_of(good)


@given(length=st.floats(0.001, 1e4), geometry=st.floats(0, 1))
def test_where_length_is_no_quality_geometry_decides_alone(length: float, geometry: float) -> None:
    assert template_quality(None, length, geometry) == geometry
    assert template_quality(None, 0.0, geometry) is None


def test_a_blank_crop_is_not_sharp_and_noise_is() -> None:
    noise = np.random.default_rng(1).integers(0, 256, (112, 112, 3), dtype=np.uint8)
    assert sharpness(np.full((112, 112, 3), 80, np.uint8)) == 0.0
    assert sharpness(noise) > 1.0
