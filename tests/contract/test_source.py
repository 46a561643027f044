"""What every recorded frame source owes its consumer; the scripted one and the real ones pass the same suite."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from device.edges.fake_source import Fail, FakeSource, Show
from device.edges.recording import RecordedSource
from device.errors import SourceUnreadable
from device.ports.source import FrameSource

FRAMES = 12
Make = Callable[[], FrameSource]


@pytest.fixture(params=["fake", "file", "pictures"])
def make(request: pytest.FixtureRequest, tmp_path: Path, videos: ModuleType) -> Make:
    """Makes sources of FRAMES frames of 320x240 at 25 Hz."""
    if request.param == "fake":
        return lambda: FakeSource([Show(20 * n) for n in range(FRAMES)], size=(320, 240))
    if request.param == "file":
        recording = videos.recording(tmp_path / "clip.mp4", frames=FRAMES)
    else:
        recording = videos.numbered_images(tmp_path / "pictures", frames=FRAMES)
    return lambda: RecordedSource(recording, decode_threads=1)


@pytest.fixture(params=["fake", "pictures"])
def make_failing(request: pytest.FixtureRequest, tmp_path: Path, videos: ModuleType) -> Make:
    """Makes sources that fail after five frames."""
    if request.param == "fake":
        return lambda: FakeSource([*[Show()] * 5, Fail(SourceUnreadable("frame 6: torn"))])
    folder = videos.image_among_images_broken(tmp_path / "pictures")
    return lambda: RecordedSource(folder, decode_threads=1)


def test_info_is_known_before_the_first_frame(make: Make) -> None:
    info = make().info
    assert (info.live, info.width, info.height, info.rate_hz, info.frames) == (False, 320, 240, 25.0, FRAMES)


def test_frames_are_numbered_from_zero_without_a_gap(make: Make) -> None:
    assert [frame.index for frame in make().frames()] == list(range(FRAMES))


def test_presentation_time_starts_at_zero_and_goes_by_the_rate(make: Make) -> None:
    assert [frame.at for frame in make().frames()] == [n * 40_000_000 for n in range(FRAMES)]


def test_planes_are_8_bit_4_2_0_with_contiguous_columns(make: Make) -> None:
    for frame in make().frames():
        assert (frame.y.shape, frame.u.shape, frame.v.shape) == ((240, 320), (120, 160), (120, 160))
        for plane in (frame.y, frame.u, frame.v):
            assert plane.dtype == np.uint8
            assert plane.strides[1] == 1
        assert (frame.width, frame.height) == (320, 240)


def test_pictures_differ_from_frame_to_frame(make: Make) -> None:
    samples = [frame.y.tobytes() for frame in make().frames()]
    assert len(set(samples)) == FRAMES


def test_a_failure_in_mid_stream_comes_after_the_frames_before_it(make_failing: Make) -> None:
    frames = iter(make_failing().frames())
    assert [next(frames).index for _ in range(5)] == list(range(5))
    with pytest.raises(SourceUnreadable, match=r"frame.6"):
        next(frames)


def test_closing_in_mid_stream_is_allowed(make: Make) -> None:
    source = make()
    next(iter(source.frames()))
    source.close()


def test_closing_twice_is_allowed(make: Make) -> None:
    source = make()
    source.close()
    source.close()
