"""When faces are looked for: each case is one that the tracker needs closer frames for, or one that it does not."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from operator import contains

import numpy as np
import pytest

from device.domain.sight import Face
from device.domain.time import NS_PER_MS, MediaNs
from device.recognition.detect_ahead import unpressed
from device.vision.cadence import SETTLED_NS, DetectionCadence
from device.vision.tracker import START_SCORE

STEP_MS = 80
HEIGHT = 60.0
Shown = tuple[float, float]


def face(x: float, y: float = 200.0, height: float = HEIGHT, score: float = 0.9) -> Face:
    box = np.array([x - height / 2.5, y - height / 2, x + height / 2.5, y + height / 2], np.float32)
    return Face(box, np.zeros((5, 2), np.float32), score)


def searched(scene: Sequence[Sequence[Face]], *, pressed: Sequence[int] = ()) -> list[int]:
    """Which of the frames, STEP_MS apart, are searched."""
    cadence, found = DetectionCadence(), []
    for n, faces in enumerate(scene):
        at = MediaNs(n * STEP_MS * NS_PER_MS)
        if cadence.due(at, pressed=partial(contains, pressed, n)):
            found.append(n)
            cadence.seen(at, faces)
    return found


EVERY_OTHER = 2 * STEP_MS * NS_PER_MS >= SETTLED_NS > STEP_MS * NS_PER_MS


def test_an_empty_scene_is_searched_in_every_other_frame() -> None:
    assert EVERY_OTHER
    assert searched([[]] * 10) == [0, 1, 3, 5, 7, 9]


def test_a_face_at_its_predicted_place_is_searched_for_in_every_other_frame() -> None:
    """Six heights a second, as people walk; the second frame shows the speed."""
    assert searched([[face(100 + 0.48 * HEIGHT * n)] for n in range(11)]) == [0, 1, 3, 5, 7, 9]


def test_who_comes_is_searched_for_in_the_next_frame() -> None:
    came = [[face(100)] if n < 5 else [face(100), face(600)] for n in range(11)]
    assert searched(came) == [0, 1, 3, 5, 6, 8, 10]


@pytest.mark.parametrize(
    ("moved", "name"),
    [(face(160), "aside"), (face(100, height=1.4 * HEIGHT), "grown"), (face(100, y=150), "up")],
)
def test_who_is_not_where_he_should_be_is_searched_for_in_the_next_frame(moved: Face, name: str) -> None:
    assert searched([[face(100)] if n < 5 else [moved] for n in range(9)])[3:5] == [5, 6], name


def test_two_who_are_about_to_meet_are_searched_for_in_every_frame() -> None:
    meeting = [[face(100 + 10 * n), face(300 - 10 * n)] for n in range(13)]
    assert searched(meeting) == [0, 1, 3, 5, 7, 9, 10, 11, 12]


def test_a_weak_detection_that_comes_and_goes_changes_nothing() -> None:
    weak = face(600, score=START_SCORE - 0.05)
    assert searched([[face(100), weak] if n % 3 else [face(100)] for n in range(11)]) == [0, 1, 3, 5, 7, 9]


def test_when_pressed_every_frame_is_searched() -> None:
    assert searched([[]] * 8, pressed=range(3, 7)) == [0, 1, 3, 4, 5, 6]


def test_the_caller_is_asked_only_where_its_answer_decides() -> None:
    """The answer may be a while in coming."""
    cadence, asked = DetectionCadence(), []

    def answer(n: int) -> bool:
        asked.append(n)
        return False

    for n in range(8):
        at = MediaNs(n * STEP_MS * NS_PER_MS)
        if cadence.due(at, pressed=partial(answer, n)):
            cadence.seen(at, [face(100)])
    assert asked == [2, 4, 6]


def test_after_a_cut_and_when_time_runs_back_the_next_frame_is_searched() -> None:
    cadence = DetectionCadence()
    for n in range(3):
        cadence.seen(MediaNs(n * 80 * NS_PER_MS), [face(100)])
    at = MediaNs(240 * NS_PER_MS)
    assert not cadence.due(at, pressed=unpressed)
    assert cadence.due(MediaNs(0), pressed=unpressed)
    cadence.restart()
    assert cadence.due(at, pressed=unpressed)
