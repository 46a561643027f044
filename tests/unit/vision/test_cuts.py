"""Hard cuts: another scene ends all tracks; flashes, exposure, walkers and slow pans do not."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device.domain.sight import U8, Frame
from device.vision.cuts import CutDetector

MakeFrame = Callable[..., Frame]


def scene(seed: int) -> U8:
    """A room in large patches of light and dark, (360, 640) luma."""
    patches = np.random.default_rng(seed).integers(20, 200, (6, 8))
    return np.kron(patches, np.ones((60, 80))).astype(np.uint8)


def cuts(frame_of: MakeFrame, *pictures: U8) -> list[bool]:
    detector = CutDetector()
    return [detector.cut(frame_of(picture)) for picture in pictures]


@settings(deadline=None, max_examples=30)
@given(one=st.integers(0, 1_000), other=st.integers(1_001, 2_000))
def test_another_scene_is_a_cut_and_the_same_again_is_none(one: int, other: int, frame_of: MakeFrame) -> None:
    found = cuts(frame_of, scene(one), scene(one), scene(other), scene(other), scene(one))
    assert found == [False, False, True, False, True]


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 1_000), gain=st.floats(0.5, 1.25), offset=st.integers(-15, 50))
def test_a_flash_or_a_change_of_exposure_is_no_cut(seed: int, gain: float, offset: int, frame_of: MakeFrame) -> None:
    lit = np.clip(scene(seed) * gain + offset, 0, 255).astype(np.uint8)
    assert cuts(frame_of, scene(seed), lit, scene(seed)) == [False, False, False]


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 1_000), left=st.integers(0, 580), grey=st.integers(0, 255))
def test_somebody_who_walks_into_the_picture_is_no_cut(seed: int, left: int, grey: int, frame_of: MakeFrame) -> None:
    busy = scene(seed)
    busy[60:, left : left + 60] = grey  # a tenth of the picture; twice as much may pass for a cut, at a look a person
    assert cuts(frame_of, scene(seed), busy) == [False, False]


def test_the_dark_and_what_comes_out_of_it_are_no_cuts(frame_of: MakeFrame) -> None:
    dark = np.full((360, 640), 16, np.uint8)
    assert cuts(frame_of, scene(1), dark, dark, scene(1)) == [False, False, False, False]


@pytest.mark.parametrize("size", [(2, 2), (17, 40), (48, 64), (1080, 1920)])
def test_frames_of_any_size_are_compared(size: tuple[int, int], frame_of: MakeFrame) -> None:
    picture = np.random.default_rng(1).integers(0, 255, size).astype(np.uint8)
    before = picture.copy()
    assert cuts(frame_of, picture, picture) == [False, False]
    assert np.array_equal(picture, before), "the frame is somebody's: it is not written to"


def test_nothing_is_kept_of_a_picture_after_a_wipe(frame_of: MakeFrame) -> None:
    detector = CutDetector()
    detector.cut(frame_of(scene(1)))
    assert detector._before.any()
    detector.wipe()
    assert not detector._before.any()
    assert not detector._samples.any()
    assert not detector._histogram.any()
    assert detector.cut(frame_of(scene(2))) is False
