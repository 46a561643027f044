"""What every frame source owes its consumer; the scripted one and the real ones pass the same suite.

A recording ends its iteration; a camera has no end, so that the end of its stream is a loss.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from device.domain.sight import Frame, Packed
from device.domain.time import MonotonicNs
from device.edges.camera.fake import Fail, FakeSource, Show
from device.edges.camera.jetson import JetsonSource
from device.edges.camera.recording import RecordedSource
from device.errors import SourceLost, SourceUnreadable
from device.ports.source import FrameSource

FRAMES = 12
Make = Callable[[], FrameSource]


@pytest.fixture(params=["fake", "fake rgb", "file", "pictures", "csi"])
def make(request: pytest.FixtureRequest, tmp_path: Path, videos: ModuleType) -> Make:
    """Makes sources of FRAMES frames of 320x240 at 25 Hz."""
    if request.param == "csi":
        fakes = request.getfixturevalue("fake_jetson_utils")
        return camera_maker(request, fakes, [fakes.flat(20 * n, 20 * n, 20 * n) for n in range(FRAMES)])
    if request.param.startswith("fake"):
        packed = request.param == "fake rgb"
        return lambda: FakeSource([Show(20 * n) for n in range(FRAMES)], size=(320, 240), packed=packed)
    if request.param == "file":
        recording = videos.recording(tmp_path / "clip.mp4", frames=FRAMES)
    else:
        recording = videos.numbered_images(tmp_path / "pictures", frames=FRAMES)
    return lambda: RecordedSource(recording, decode_threads=1)


def camera_maker(request: pytest.FixtureRequest, fakes: ModuleType, steps: list[Any]) -> Make:
    """Makes cameras on a board, of the fake jetson_utils, that play these steps."""
    request.getfixturevalue("jetson").cameras["csi://0"] = fakes.Camera(steps)
    return lambda: JetsonSource("csi://0", open_s=0.2, read_s=0.2)


def all_frames(source: FrameSource) -> Iterator[Frame]:
    """Every frame to the end, which for a camera is a loss."""
    try:
        yield from source.frames()
    except SourceLost:
        assert source.info.live


@pytest.fixture(params=["fake", "pictures", "csi"])
def make_failing(request: pytest.FixtureRequest, tmp_path: Path, videos: ModuleType) -> Make:
    """Makes sources that fail at their sixth frame."""
    if request.param == "csi":
        fakes = request.getfixturevalue("fake_jetson_utils")
        return camera_maker(request, fakes, [*[fakes.flat(99, 99, 99)] * 5, *[fakes.ERROR] * 1000])
    if request.param == "fake":
        return lambda: FakeSource([*[Show()] * 5, Fail(SourceUnreadable("frame 6: torn"))])
    folder = videos.image_among_images_broken(tmp_path / "pictures")
    return lambda: RecordedSource(folder, decode_threads=1)


def test_info_is_known_before_the_first_frame(make: Make) -> None:
    info = make().info
    assert (info.width, info.height, info.rate_hz) == (320, 240, 25.0)
    assert info.frames == (None if info.live else FRAMES)


def test_frames_are_numbered_from_zero_without_a_gap(make: Make) -> None:
    assert [frame.index for frame in all_frames(make())] == list(range(FRAMES))


def test_presentation_time_starts_at_zero_and_goes_by_the_rate(make: Make) -> None:
    assert [frame.at for frame in all_frames(make())] == [n * 40_000_000 for n in range(FRAMES)]


def bytes_of(frame: Frame) -> bytes:
    """What a frame shows: its RGB, or its luma."""
    return (frame.picture.rgb if isinstance(frame.picture, Packed) else frame.picture.y).tobytes()


def require_well_made(frame: Frame) -> None:
    picture = frame.picture
    if isinstance(picture, Packed):
        assert picture.rgb.shape == (240, 320, 3)
        assert picture.rgb.dtype == np.uint8
        assert picture.rgb.flags.c_contiguous
        assert picture.address in (None, picture.rgb.ctypes.data)  # one memory for both
    else:
        assert (picture.y.shape, picture.u.shape, picture.v.shape) == ((240, 320), (120, 160), (120, 160))
        for plane in (picture.y, picture.u, picture.v):
            assert plane.dtype == np.uint8
            assert plane.strides[1] == 1
    assert (frame.width, frame.height) == (320, 240)


def test_pictures_are_8_bit_4_2_0_with_contiguous_columns_or_rgb_without_gaps(make: Make) -> None:
    for frame in all_frames(make()):
        require_well_made(frame)


def test_pictures_differ_from_frame_to_frame(make: Make) -> None:
    assert len({bytes_of(frame) for frame in all_frames(make())}) == FRAMES


def test_a_slot_keeps_a_frame_as_it_was_while_the_source_goes_on_and_after_it_has_closed(make: Make) -> None:
    source = make()
    slots, kept, shown = [source.slot() for _ in range(FRAMES)], [], []
    for n, frame in enumerate(all_frames(source)):
        shown.append(bytes_of(frame))
        kept.append(slots[n].keep(frame, MonotonicNs(n)))
    source.close()
    assert [bytes_of(one) for one in kept] == shown
    assert [(one.index, one.decoded) for one in kept] == [(n, n) for n in range(FRAMES)]
    for one in kept:
        require_well_made(one)


def test_a_slot_is_filled_again_in_its_own_memory_and_can_be_wiped(make: Make) -> None:
    source = make()
    slot, frames = source.slot(), all_frames(source)
    next(frames)
    first = slot.keep(next(frames), MonotonicNs(0))
    before = bytes_of(first)
    second = slot.keep(next(frames), MonotonicNs(0))
    assert bytes_of(first) == bytes_of(second) != before  # one memory
    assert any(bytes_of(second))
    slot.wipe()
    assert not any(bytes_of(second))
    slot.wipe()
    source.close()


def test_a_failure_in_mid_stream_comes_after_the_frames_before_it(make_failing: Make) -> None:
    frames = iter(make_failing().frames())
    assert [next(frames).index for _ in range(5)] == list(range(5))
    with pytest.raises((SourceUnreadable, SourceLost), match=r"frame.6|csi://0: lost"):
        next(frames)


def test_closing_in_mid_stream_is_allowed(make: Make) -> None:
    source = make()
    next(iter(source.frames()))
    source.close()


def test_closing_twice_is_allowed(make: Make) -> None:
    source = make()
    source.close()
    source.close()
