"""A feed drops nothing of a recording, keeps only the newest of a camera, and leaves nothing behind."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from device.domain.sight import Frame
from device.domain.time import MonotonicNs
from device.edges.camera.capture_buffer import END, CaptureBuffer, Pace
from device.edges.camera.fake import Fail, FakeSource, Show, Stall
from device.edges.camera.picture_health import PictureHealth
from device.errors import SourceLost, SourceUnreadable
from tests.pictures import planes

SOON_S = 60.0
MS = 1_000_000


class VirtualTempo:
    """A clock that moves only when somebody waits for it or says so."""

    def __init__(self) -> None:
        self.ns = 0
        self.moved = threading.Condition()

    def now(self) -> MonotonicNs:
        return MonotonicNs(self.ns)

    def pause(self, cut: threading.Event, seconds: float) -> None:
        self.ns += round(seconds * 1e9)

    def pass_ms(self, ms: float) -> None:
        self.ns += round(ms * MS)


@contextmanager
def feed_of(source: FakeSource, pace: Pace = "full", **how: Any) -> Iterator[CaptureBuffer]:
    feed = CaptureBuffer(source, pace=pace, **how)
    try:
        yield feed
    finally:
        source.resume(for_good=True)
        feed.close()


def until(condition: Callable[[], bool]) -> None:
    """Wait for the capture thread; fails after SOON_S."""
    deadline = time.monotonic() + SOON_S
    while not condition():
        assert time.monotonic() < deadline, f"not within {SOON_S} s"
        time.sleep(0.001)


def taken(feed: CaptureBuffer) -> list[tuple[int, int]]:
    """Index and luma of every frame until the end."""
    found = []
    while (frame := feed.take(SOON_S)) is not END:
        assert isinstance(frame, Frame)
        assert planes(frame).y.min() == planes(frame).y.max()
        found.append((frame.index, int(planes(frame).y[0, 0])))
    return found


@pytest.mark.parametrize("depth", [1, 3])
def test_a_recording_at_full_pace_loses_no_frame_and_no_picture(depth: int) -> None:
    with feed_of(FakeSource([Show(n) for n in range(100)]), depth=depth) as feed:
        assert taken(feed) == [(n, n) for n in range(100)]
        assert (feed.decoded, feed.dropped, feed.state()) == (100, 0, "ended")
        assert len(feed.decode_ms) == 100
        assert feed.take(SOON_S) is END


def test_a_frame_stays_whole_until_the_next_take_although_the_source_reuses_its_planes() -> None:
    source = FakeSource([Show(1), Show(2), Show(3), Show(4), Stall()])
    with feed_of(source, depth=2) as feed:
        first = feed.take(SOON_S)
        assert isinstance(first, Frame)
        assert int(planes(first).y[0, 0]) == 1
        until(lambda: feed.decoded >= 3)  # the source has painted over its planes twice by now
        assert int(planes(first).y[0, 0]) == 1


@pytest.mark.parametrize("pace", ["full", "live"])
@pytest.mark.parametrize("frames_held", [1, 2, 3])
def test_as_many_frames_stay_whole_as_the_consumer_asked_for(frames_held: int, pace: Pace) -> None:
    source = FakeSource([step for n in range(10) for step in (Show(10 * n), Stall())], live=pace == "live")
    held: list[Frame] = []
    with feed_of(source, pace, frames_held=frames_held, depth=1) as feed:
        for _ in range(9):
            frame = feed.take(SOON_S)
            assert isinstance(frame, Frame)
            held = [*held, frame][-frames_held:]
            source.stalled.wait(SOON_S)
            assert feed.take(0.0) is None  # a take that gives nothing takes nothing away
            source.resume()
            source.stalled.wait(SOON_S)  # the next frame has been decoded and waits
            assert [int(planes(f).y[0, 0]) for f in held] == [10 * f.index for f in held]


def test_an_unwanted_frame_is_counted_and_goes_no_further() -> None:
    script = [Show(n) for n in range(10)]
    with feed_of(FakeSource(script), wanted=lambda frame: frame.index % 3 == 0) as feed:
        assert [index for index, _ in taken(feed)] == [0, 3, 6, 9]
        assert (feed.decoded, feed.dropped) == (10, 0)


def test_a_live_source_gives_the_newest_frame_and_counts_the_others() -> None:
    source = FakeSource([Show(), Stall(), *[Show(n) for n in range(1, 10)], Stall(), Show()], live=True)
    with feed_of(source, "live") as feed:
        assert isinstance(feed.take(SOON_S), Frame)
        source.stalled.wait(SOON_S)
        source.resume()
        source.stalled.wait(SOON_S)
        newest = feed.take(SOON_S)
        assert isinstance(newest, Frame)
        assert (newest.index, int(planes(newest).y[0, 0])) == (9, 9)
        source.resume()
        last = feed.take(SOON_S)
        assert isinstance(last, Frame)
        assert (last.index, feed.decoded, feed.dropped) == (10, 11, 8)


def test_realtime_hands_a_frame_over_on_its_presentation_clock() -> None:
    tempo = VirtualTempo()
    script: list[Show | Stall] = [Show(), Stall(), *[Show(at_s=n * 0.5) for n in range(1, 4)], Stall()]
    source = FakeSource(script)
    with feed_of(source, "realtime", tempo=tempo) as feed:
        assert isinstance(feed.take(SOON_S), Frame)
        source.stalled.wait(SOON_S)
        source.resume()
        source.stalled.wait(SOON_S)
        assert tempo.now() == 1500 * MS
        newest = feed.take(SOON_S)
        assert isinstance(newest, Frame)
        assert (newest.index, newest.decoded, newest.at) == (3, 1500 * MS, 1500 * MS)
        assert (feed.decoded, feed.dropped) == (4, 2)


def test_no_frame_in_time_is_none_and_not_the_end() -> None:
    with feed_of(FakeSource([Stall(), Show()])) as feed:
        assert feed.take(0.001) is None


def test_what_the_source_raises_comes_after_the_frames_before_it() -> None:
    with feed_of(FakeSource([Show(), Show(), Fail(SourceUnreadable("torn"))])) as feed:
        assert isinstance(feed.take(SOON_S), Frame)
        assert isinstance(feed.take(SOON_S), Frame)
        for _ in range(2):
            with pytest.raises(SourceUnreadable, match="torn"):
                feed.take(SOON_S)
        assert feed.state() == "offline"


def test_a_defect_in_the_source_surfaces_too() -> None:
    with feed_of(FakeSource([Fail(ZeroDivisionError("ours"))])) as feed, pytest.raises(ZeroDivisionError):
        feed.take(SOON_S)


def test_a_lost_camera_is_offline() -> None:
    with feed_of(FakeSource([Show(), Fail(SourceLost("gone"))], live=True), "live") as feed:
        assert isinstance(feed.take(SOON_S), Frame)
        with pytest.raises(SourceLost):
            feed.take(SOON_S)
        assert feed.state() == "offline"


def test_a_change_of_size_is_passed_on() -> None:
    script = [Show(1), Show(2, size=(32, 16)), Show(3, size=(33, 17))]
    with feed_of(FakeSource(script)) as feed:
        sizes = [feed.take(SOON_S) for _ in script]
        assert [(f.width, f.height, planes(f).u.shape) for f in sizes if isinstance(f, Frame)] == [
            (64, 48, (24, 32)),
            (32, 16, (8, 16)),
            (33, 17, (9, 17)),
        ]


def test_closing_zeroes_every_picture_and_closes_the_source() -> None:
    source = FakeSource([Show(200)] * 5)
    with feed_of(source, depth=2) as feed:
        held = feed.take(SOON_S)
        assert isinstance(held, Frame)
        assert planes(held).y.any()
        feed.close()
        assert not planes(held).y.any()
        assert not planes(held).u.any()
        assert source.closed
        assert feed.take(SOON_S) is END


def test_closing_does_not_wait_for_a_consumer() -> None:
    with feed_of(FakeSource([Show()] * 50), depth=1) as feed:
        feed.take(SOON_S)
        feed.close()
        assert feed.state() == "ended"


def test_closing_before_the_first_take_closes_the_source() -> None:
    source = FakeSource([Show()])
    CaptureBuffer(source, pace="full").close()
    assert source.closed


@pytest.mark.parametrize(("pace", "live"), [("live", False), ("full", True), ("realtime", True)])
def test_a_pace_that_does_not_fit_the_source_is_a_defect(pace: Pace, live: bool) -> None:
    with pytest.raises(ValueError, match="does not fit"):
        CaptureBuffer(FakeSource([], live=live), pace=pace)


def state_after(script: list[Show], *, packed: bool = False, pace: Pace = "realtime") -> str:
    source = FakeSource([*script, Stall()], packed=packed)
    with feed_of(source, pace, depth=len(script), tempo=VirtualTempo()) as feed:
        feed.take(SOON_S)
        source.stalled.wait(SOON_S)
        return feed.state()


@pytest.mark.parametrize("packed", [False, True], ids=["planes", "rgb"])
def test_the_same_picture_for_more_than_a_second_is_frozen(packed: bool) -> None:
    assert state_after([Show(scene=1)] * 30, packed=packed) == "online"
    assert state_after([Show(scene=1)] * 41, packed=packed) == "frozen"
    assert state_after([*[Show(scene=1)] * 41, *[Show(scene=2)] * 4], packed=packed) == "online"


@pytest.mark.parametrize(("packed", "black"), [(False, 16), (True, 0)], ids=["planes", "rgb"])
def test_no_light_for_more_than_a_second_is_dark(packed: bool, black: int) -> None:
    assert state_after([Show(black + n % 3) for n in range(30)], packed=packed) == "online"
    assert state_after([Show(black + n % 3) for n in range(41)], packed=packed) == "dark"
    assert state_after([Show(black + 5 + n % 3) for n in range(41)], packed=packed) == "dark"
    assert state_after([Show(scene=n) for n in range(41)], packed=packed) == "online"


def test_at_full_pace_no_picture_is_judged() -> None:
    assert state_after([Show(16)] * 60, pace="full") == "online"


def test_a_camera_that_gives_nothing_for_1_2_seconds_is_stalled() -> None:
    tempo = VirtualTempo()
    source = FakeSource([Show(), Stall()], live=True)
    with feed_of(source, "live", tempo=tempo) as feed:
        feed.take(SOON_S)
        source.stalled.wait(SOON_S)
        tempo.pass_ms(1200)
        assert feed.state() == "online"
        tempo.pass_ms(1)
        assert (feed.state(), feed.stalled) == ("stalled", False)  # as yet nobody's passage has ended
        tempo.pass_ms(800)
        assert (feed.state(), feed.stalled) == ("stalled", True)


def test_a_frozen_picture_and_one_of_another_size_are_not_handed_on() -> None:
    for last in (Show(scene=1), Show(scene=1, size=(32, 24))):
        source = FakeSource([*[Show(scene=1)] * 60, Stall(), *[last] * 2, Stall()], live=True)
        with feed_of(source, "live", tempo=VirtualTempo()) as feed:
            assert isinstance(feed.take(SOON_S), Frame)
            source.stalled.wait(SOON_S)
            while isinstance(feed.take(0.0), Frame):
                pass
            source.resume()
            source.stalled.wait(SOON_S)
            assert feed.take(0.0) is None
            assert (feed.decoded, feed.stalled) == (62, True)


def test_a_size_that_was_expected_and_does_not_come_is_a_fault_from_the_first_picture() -> None:
    source = FakeSource([Show(scene=1), Stall()], live=True)
    with feed_of(source, "live", health=PictureHealth(size=(128, 96))) as feed:
        assert feed.take(0.2) is None
        source.stalled.wait(SOON_S)
        assert feed.state() == "size_changed"
        assert feed.size == (128, 96)
