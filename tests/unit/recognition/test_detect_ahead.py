"""DetectAhead ahead: order, exceptions, ends; and durations."""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Generator, Sequence

import pytest

from device.domain.sight import Face, Frame
from device.edges.camera.capture_buffer import CaptureBuffer
from device.edges.camera.fake import Fail, FakeSource, Show, Stall, Step
from device.edges.host.thread_priority import STEPS
from device.errors import SourceLost
from device.recognition.detect_ahead import (
    AHEAD,
    AHEAD_FULL,
    DetectAhead,
    Pressed,
    Stopwatch,
    frames_ahead,
    frames_held,
    lag,
    unpressed,
)
from tests.pictures import planes

WITHIN_S = 30.0


def feed_of(script: Sequence[Step]) -> tuple[CaptureBuffer, FakeSource]:
    source = FakeSource(script)
    return CaptureBuffer(source, pace="full", frames_held=frames_held(AHEAD_FULL)), source


class ScriptedFrontEnd:
    """`look`: one face whose score is the frame's luma; can be made to fail or to wait at a frame."""

    def __init__(self, *, fail_at: int | None = None) -> None:
        self.looked: list[int] = []
        self.fail_at = fail_at
        self.threads: set[int] = set()
        self.busy = False

    def __call__(self, frame: Frame, pressed: Pressed = unpressed) -> list[Face]:
        self.busy = True
        self.threads.add(threading.get_ident())
        self.looked.append(frame.index)
        if frame.index == self.fail_at:
            self.busy = False
            raise ArithmeticError(f"frame {frame.index}")
        box = planes(frame).y[:1, :4].astype("float32").reshape(4)
        self.busy = False
        return [Face(box, box.reshape(2, 2), float(planes(frame).y[0, 0]))]


def ignore() -> None:
    """Nothing to do while idle."""


@pytest.mark.parametrize("ahead", [AHEAD_FULL, AHEAD, 0])
def test_frames_come_in_order_each_with_its_own_faces(ahead: int) -> None:
    feed, _ = feed_of([Show(n) for n in range(60)])
    seen = [
        (frame.index, faces[0].score)
        for frame, faces in DetectAhead(feed, ScriptedFrontEnd(), ahead=ahead).frames(ignore)
    ]
    assert seen == [(n, float(n)) for n in range(60)]
    feed.close()


def test_a_frame_in_the_callers_hands_is_not_overwritten_by_those_looked_at_meanwhile() -> None:
    feed, _ = feed_of([Show(n) for n in range(40)])
    front_end = ScriptedFrontEnd()
    for frame, _faces in DetectAhead(feed, front_end, ahead=AHEAD).frames(ignore):
        deadline = time.monotonic() + WITHIN_S
        while len(front_end.looked) < min(frame.index + AHEAD, 40) and time.monotonic() < deadline:
            time.sleep(0)
        assert int(planes(frame).y[0, 0]) == frame.index
    feed.close()


def test_looking_happens_in_one_other_thread_and_without_ahead_in_the_callers() -> None:
    for ahead in (AHEAD_FULL, AHEAD, 0):
        feed, _ = feed_of([Show()] * 10)
        front_end = ScriptedFrontEnd()
        list(DetectAhead(feed, front_end, ahead=ahead).frames(ignore))
        assert len(front_end.threads) == 1
        assert (threading.get_ident() in front_end.threads) is not bool(ahead)
        feed.close()


@pytest.mark.parametrize("ahead", [AHEAD_FULL, AHEAD, 0])
def test_what_the_source_raises_comes_after_the_frames_before_it(ahead: int) -> None:
    feed, _ = feed_of([Show(), Show(), Show(), Fail(SourceLost("cable cut"))])
    seen: list[int] = []
    with pytest.raises(SourceLost, match="cable cut"):
        seen.extend(frame.index for frame, _ in DetectAhead(feed, ScriptedFrontEnd(), ahead=ahead).frames(ignore))
    assert seen == [0, 1, 2]
    feed.close()


@pytest.mark.parametrize("ahead", [AHEAD_FULL, AHEAD, 0])
def test_what_looking_raises_reaches_the_caller_after_the_frames_before_it(ahead: int) -> None:
    feed, _ = feed_of([Show()] * 20)
    seen: list[int] = []
    with pytest.raises(ArithmeticError, match="frame 7"):
        seen.extend(
            frame.index for frame, _ in DetectAhead(feed, ScriptedFrontEnd(fail_at=7), ahead=ahead).frames(ignore)
        )
    assert seen == list(range(7))
    feed.close()


@pytest.mark.parametrize("ahead", [AHEAD_FULL, AHEAD, 0])
def test_close_ends_the_iteration_in_mid_stream(ahead: int) -> None:
    feed, _ = feed_of([Show()] * 10_000)
    looking = DetectAhead(feed, ScriptedFrontEnd(), ahead=ahead)
    seen = []
    for frame, _ in looking.frames(ignore):
        seen.append(frame.index)
        if frame.index == 5:
            looking.close()
    assert seen == list(range(6))
    feed.close()


@pytest.mark.parametrize("ahead", [AHEAD_FULL, AHEAD, 0])
def test_close_while_the_source_stalls_ends_the_iteration_soon(ahead: int) -> None:
    feed, source = feed_of([Show(), Stall(), Show()])
    looking = DetectAhead(feed, ScriptedFrontEnd(), ahead=ahead)
    idled = []

    def idle() -> None:
        idled.append(time.monotonic())
        looking.close()

    seen = [frame.index for frame, _ in looking.frames(idle)]
    assert seen == [0]
    assert 1 <= len(idled) <= max(ahead, 1)
    assert time.monotonic() - idled[0] < WITHIN_S
    source.resume()
    feed.close()


@pytest.mark.parametrize("ahead", [AHEAD_FULL, AHEAD, 0])
def test_an_iteration_that_is_given_up_leaves_no_look_running(ahead: int) -> None:
    """Who closes the iteration may then use the detector himself: a runner belongs to one thread at a time."""
    feed, _ = feed_of([Show()] * 1000)
    front_end = ScriptedFrontEnd()
    frames = DetectAhead(feed, front_end, ahead=ahead).frames(ignore)
    next(frames)
    assert isinstance(frames, Generator)
    frames.close()
    assert not front_end.busy
    looked = len(front_end.looked)
    feed.close()
    assert len(front_end.looked) == looked


@pytest.mark.parametrize("ahead", [AHEAD_FULL, AHEAD, 0])
def test_a_frame_that_is_passed_over_does_not_reach_the_caller(ahead: int) -> None:
    feed, _ = feed_of([Show(n) for n in range(30)])
    eyes = ScriptedFrontEnd()

    def look(frame: Frame, pressed: Pressed) -> list[Face] | None:
        return eyes(frame) if frame.index % 3 == 0 else None

    seen = [(frame.index, faces[0].score) for frame, faces in DetectAhead(feed, look, ahead=ahead).frames(ignore)]
    assert seen == [(n, float(n)) for n in range(0, 30, 3)]
    feed.close()


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("ahead", [AHEAD_FULL, AHEAD, 0])
def test_what_the_caller_made_of_a_frame_is_known_so_many_frames_later_however_the_threads_run(
    ahead: int, seed: int
) -> None:
    feed, _ = feed_of([Show(n) for n in range(60)])
    chance = random.Random(seed)
    pauses_s = iter([[chance.choice((0, 0, 0.004)) for _ in range(60)] for _ in range(2)])
    looking_s, judging_s = next(pauses_s), next(pauses_s)
    reported: list[bool] = []
    judged: list[int] = []

    def look(frame: Frame, pressed: Pressed) -> list[Face] | None:
        time.sleep(looking_s[frame.index])
        reported.append(pressed())
        return [] if frame.index % 4 else None

    looking = DetectAhead(feed, look, ahead=ahead, pressed=lambda: len(judged) % 3 == 1)
    for frame, _faces in looking.frames(ignore):
        time.sleep(judging_s[frame.index])
        judged.append(frame.index)
    wanted = [False] * lag(ahead) + [sum(n % 4 != 0 for n in range(upto + 1)) % 3 == 1 for upto in range(60)]
    assert reported == wanted[:60]
    feed.close()


@pytest.mark.parametrize("ahead", [AHEAD_FULL, AHEAD, 0])
def test_who_asks_seldom_gets_the_answer_of_the_same_frame(ahead: int) -> None:
    feed, _ = feed_of([Show(n) for n in range(60)])
    reported: dict[int, bool] = {}
    judged: list[int] = []

    def look(frame: Frame, pressed: Pressed) -> list[Face]:
        if frame.index % 7 == 3:
            reported[frame.index] = pressed()
            assert pressed() == reported[frame.index], "asked twice"
        return []

    late = lag(ahead)
    looking = DetectAhead(feed, look, ahead=ahead, pressed=lambda: len(judged) % 3 == 1)
    for frame, _faces in looking.frames(ignore):
        judged.append(frame.index)
    assert reported == {n: n >= late and (n - late + 1) % 3 == 1 for n in range(3, 60, 7)}
    feed.close()


def test_who_does_not_ask_gets_further_ahead_than_the_answers_at_full_pace_only() -> None:
    assert frames_ahead(one_thread=False, pace="full") == AHEAD_FULL > lag(AHEAD_FULL)
    assert frames_ahead(one_thread=False, pace="live") == frames_ahead(one_thread=False, pace="realtime") == AHEAD
    assert frames_ahead(one_thread=True, pace="full") == 0
    assert lag(AHEAD_FULL) == lag(AHEAD), "a recording gives what a camera gives"
    feed, _ = feed_of([Show(n) for n in range(40)])
    front_end = ScriptedFrontEnd()
    frames = DetectAhead(feed, front_end, ahead=AHEAD_FULL).frames(ignore)
    next(frames)
    deadline = time.monotonic() + WITHIN_S
    while len(front_end.looked) <= AHEAD_FULL:
        assert time.monotonic() < deadline, front_end.looked
        time.sleep(0.001)
    frames.close()
    feed.close()


@pytest.mark.parametrize("broken_off", ["given up", "closed"])
def test_a_look_that_waits_for_an_answer_ends_with_the_iteration(broken_off: str) -> None:
    feed, _ = feed_of([Show()] * 1000)
    waiting = threading.Event()

    def look(frame: Frame, pressed: Pressed) -> list[Face]:
        if frame.index == lag(AHEAD_FULL):
            waiting.set()
        pressed()
        return []

    looking = DetectAhead(feed, look, ahead=AHEAD_FULL)
    frames = looking.frames(ignore)
    next(frames)
    assert waiting.wait(WITHIN_S)
    if broken_off == "closed":
        looking.close()
    ending = threading.Thread(target=frames.close, daemon=True)
    ending.start()
    ending.join(WITHIN_S)
    assert not ending.is_alive()
    feed.close()


def test_decoding_a_recording_and_detection_leave_the_core_to_the_caller() -> None:
    def priority() -> int:
        return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    found: dict[str, int] = {}

    def look(_frame: Frame, _pressed: Pressed) -> list[Face]:
        found["looking"] = priority()
        return []

    def decoding() -> None:
        found["decoding"] = priority()

    source = FakeSource([Show()] * 3, before_each=decoding)
    feed = CaptureBuffer(source, pace="full", frames_held=frames_held(AHEAD_FULL))
    list(DetectAhead(feed, look, ahead=AHEAD_FULL).frames(ignore))
    feed.close()
    assert found == {"looking": min(19, priority() + STEPS), "decoding": min(19, priority() + STEPS)}
    camera = FakeSource([Show(), Fail(SourceLost("cable cut"))], live=True, before_each=decoding)
    live = CaptureBuffer(camera, pace="live", frames_held=frames_held(AHEAD))
    with pytest.raises(SourceLost):
        list(DetectAhead(live, look, ahead=AHEAD).frames(ignore))
    live.close()
    assert found["decoding"] == priority(), "a camera's stream does not wait"


def test_a_stopwatch_keeps_the_last_laps_by_stage() -> None:
    watch = Stopwatch(keep=3)
    since = time.perf_counter_ns()
    for _ in range(5):
        since = watch.lap("look", since)
    watch.lap("think", since - 7_000_000)
    assert set(watch.ms) == {"look", "think"}
    assert len(watch.ms["look"]) == 3
    assert watch.ms["think"][0] >= 7.0
