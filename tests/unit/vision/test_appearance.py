"""How a face looks: what raises a doubt, and what answers one."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from device.domain.sight import F32, Frame
from device.vision.appearance import KEPT, LENGTH, PATTERN, Appearance, Seen

BOX: F32 = np.array([60, 60, 140, 140], np.float32)
SKIN, OTHER, NONE = (108, 150), (114, 146), (128, 128)

Shown = Callable[..., Frame]


@pytest.fixture
def shown(frame_of: Callable[..., Frame]) -> Shown:
    """`shown(seed, colour)`: a pattern in (Cb, Cr); `mixed`: how much of the pattern is another one's."""

    def make(seed: int, colour: tuple[int, int], *, mixed: float = 0.0) -> Frame:
        own, foreign = (np.random.default_rng(n).integers(40, 200, (20, 20)) for n in (seed, seed + 1000))
        y = np.kron((1 - mixed) * own + mixed * foreign, np.ones((10, 10))).astype(np.uint8)
        return frame_of(y, *(np.full((100, 100), value, np.uint8) for value in colour))

    return make


@pytest.mark.parametrize(
    ("colour", "mixed", "now", "seen"),
    [
        (SKIN, 0.0, SKIN, Seen.NEITHER),  # nothing is settled yet
        (SKIN, 1.0, OTHER, Seen.DIFFERENT),
        (SKIN, 0.3, OTHER, Seen.NEITHER),  # the pattern is much the same: other light
        (SKIN, 0.6, SKIN, Seen.NEITHER),  # a hand, a turn of the head
        (SKIN, 1.0, SKIN, Seen.DIFFERENT),  # light of one colour
        (NONE, 1.0, NONE, Seen.DIFFERENT),  # without a colour the pattern decides
        (NONE, 0.3, NONE, Seen.NEITHER),
        (NONE, 1.0, SKIN, Seen.DIFFERENT),
    ],
)
def test_another_pattern_in_another_colour_is_somebody_else_perhaps(
    colour: tuple[int, int], mixed: float, now: tuple[int, int], seen: Seen, shown: Shown
) -> None:
    appearance = Appearance()
    assert appearance.see(shown(1, colour), BOX) is Seen.NEITHER
    assert appearance.see(shown(1, now, mixed=mixed), BOX) is seen


def test_a_face_as_at_one_of_the_last_templates_is_the_same_whatever_was_in_between(shown: Shown) -> None:
    appearance = Appearance()
    for seed in range(KEPT):
        appearance.see(shown(seed, SKIN), BOX)
        appearance.settle()
    for seed in range(KEPT):
        appearance.see(shown(50, OTHER), BOX)
        assert appearance.see(shown(seed, SKIN, mixed=0.2), BOX) is Seen.SAME
        assert appearance.see(shown(seed, OTHER), BOX) is not Seen.SAME
    appearance.see(shown(50, SKIN), BOX)
    appearance.settle()
    assert appearance.see(shown(0, SKIN), BOX) is not Seen.SAME, "the oldest has made room"


def test_without_colour_nothing_is_the_same(shown: Shown) -> None:
    """Infrared light: two faces of 8 x 8 grey values may be alike."""
    appearance = Appearance()
    appearance.see(shown(1, NONE), BOX)
    appearance.settle()
    assert appearance.see(shown(1, NONE), BOX) is Seen.NEITHER


def test_a_gradual_change_is_followed(shown: Shown) -> None:
    """Somebody walks out of the shade: the mean follows, and no step is a doubt."""
    appearance = Appearance()
    for step in range(11):
        colour = (108 + step, 150 - step)
        assert appearance.see(shown(1, colour, mixed=step / 10), BOX) is Seen.NEITHER
    assert np.abs(appearance.rows[1, PATTERN:] - (118 - 128, 140 - 128)).max() < 1.5


def test_outside_the_frame_there_is_no_signature_and_a_doubt(shown: Shown) -> None:
    appearance = Appearance()
    outside = BOX + 500
    assert appearance.see(shown(1, SKIN), outside) is Seen.NEITHER
    assert not appearance.rows.any()
    appearance.see(shown(1, SKIN), BOX)
    appearance.settle()
    assert appearance.see(shown(1, SKIN), outside) is Seen.DIFFERENT


def test_a_track_that_is_handed_over_takes_its_face_along(shown: Shown) -> None:
    ann, ben = Appearance(), Appearance()
    ann.see(shown(1, SKIN), BOX)
    ben.see(shown(2, OTHER), BOX)
    ben.settle()
    ben.take_over(ann)
    assert ben.see(shown(1, SKIN), BOX) is Seen.NEITHER
    assert ben.see(shown(2, OTHER), BOX) is Seen.SAME, "what templates have settled stays"
    assert ann.rows.shape == (2 + KEPT, LENGTH)
