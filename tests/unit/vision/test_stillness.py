"""An empty room in which nothing moves costs no detection; whatever enters it does."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from device.domain.sight import U8, Frame, Packed
from device.domain.time import NS_PER_S, MediaNs, MonotonicNs
from device.vision.stillness import STILL_AT_MOST_S, Stillness

MakeFrame = Callable[..., Frame]


def room(seed: int = 0) -> U8:
    """A grey room with sensor noise, (720, 1280) luma."""
    noise = np.random.default_rng(seed).normal(0, 3, (720, 1280))
    return np.clip(90 + noise, 0, 255).astype(np.uint8)


@pytest.fixture
def still(frame_of: MakeFrame) -> Callable[[float, U8], bool]:
    """`still(seconds, luma)`, of one camera."""
    watch = Stillness()

    def ask(seconds: float, luma: U8) -> bool:
        shown = frame_of(luma).picture
        return watch.still(Frame(0, MediaNs(round(seconds * NS_PER_S)), MonotonicNs(0), shown))

    return ask


Still = Callable[[float, U8], bool]


def test_noise_alone_is_still_and_the_first_frame_is_not(still: Still) -> None:
    assert [still(0.1 * n, room(n)) for n in range(5)] == [False, True, True, True, True]


@pytest.mark.parametrize("left", range(100, 1200, 137))
def test_a_face_of_32_px_anywhere_is_a_change(left: int, still: Still) -> None:
    still(0.0, room(0))
    entered = room(1)
    entered[300:332, left : left + 26] = 150
    assert still(0.1, entered) is False


def test_slow_changes_add_up(still: Still) -> None:
    found = [still(0.1 * n, np.clip(room(n).astype(int) + n, 0, 255).astype(np.uint8)) for n in range(9)]
    assert found[1] is True
    assert False in found[2:]


def test_after_somebody_was_in_view_the_same_picture_is_searched_again() -> None:
    watch, frame = Stillness(), Frame(0, MediaNs(0), MonotonicNs(0), Packed(np.repeat(room()[:, :, None], 3, 2)))
    assert [watch.still(frame), watch.still(frame)] == [False, True]
    watch.forget()
    assert [watch.still(frame), watch.still(frame)] == [False, True]


def test_now_and_then_a_still_room_is_looked_at(still: Still) -> None:
    still(0.0, room(0))
    assert still(STILL_AT_MOST_S - 0.01, room(1)) is True
    assert still(STILL_AT_MOST_S, room(2)) is False


def test_a_clock_that_jumps_back_is_no_stillness(still: Still) -> None:
    still(100.0, room(0))
    assert still(1.0, room(0)) is False
