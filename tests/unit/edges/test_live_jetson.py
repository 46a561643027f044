"""Cameras through jetson_utils, on a fake of it: what is refused, what is lost, what stays of a picture."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from device.domain.sight import Frame
from device.domain.time import MonotonicNs
from device.edges.camera.capture_buffer import CaptureBuffer
from device.edges.camera.jetson import JetsonSource
from device.edges.camera.live import on_board, open_live
from device.errors import SourceLost, Unavailable
from device.vision.picture import warp
from tests.device_apis.fake_jetson_utils import Camera, Library
from tests.pictures import packed

CSI = "csi://0"
IDENTITY = np.array([[1, 0, 0], [0, 1, 0]], np.float32)


@pytest.fixture
def plugged(jetson: Library, fake_jetson_utils: ModuleType) -> Callable[..., Camera]:
    """Plugs a camera with some steps into csi://0."""

    def plug(*steps: object, **properties: Any) -> Camera:
        jetson.cameras[CSI] = fake_jetson_utils.Camera(steps, **properties)
        return jetson.cameras[CSI]

    return plug


def opened(**deadlines: float) -> JetsonSource:
    return JetsonSource(CSI, **{"open_s": 0.1, "read_s": 0.1, **deadlines})


def test_without_the_library_a_csi_camera_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jetson_utils", None)
    with pytest.raises(Unavailable, match=r"cannot be imported.*dusty-nv/jetson-utils, never install it by name"):
        open_live(CSI)


def test_a_library_that_breaks_when_it_is_imported_is_unavailable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "jetson_utils.py").write_text("raise RuntimeError('CUDA error 35')")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(Unavailable, match="CUDA error 35"):
        open_live(CSI)


def test_without_its_c_extension_the_library_is_refused(
    fake_jetson_utils: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "jetson_utils", fake_jetson_utils.Library().module(extension=False))
    with pytest.raises(Unavailable, match="without its C extension"):
        open_live(CSI)


def test_somebody_elses_package_of_that_name_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    other = ModuleType("jetson_utils")
    other.__file__ = "/usr/lib/python3/dist-packages/jetson_utils/__init__.py"
    monkeypatch.setitem(sys.modules, "jetson_utils", other)
    with pytest.raises(Unavailable, match=r"dist-packages/jetson_utils.*not NVIDIA's.*unrelated package") as refused:
        open_live(CSI)
    assert not isinstance(refused.value, SourceLost)  # which would be tried again for ever


def test_v4l2_goes_through_the_library_where_it_is_and_through_ffmpeg_elsewhere(
    jetson: Library, fake_jetson_utils: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = "v4l2:///dev/video99"
    jetson.cameras[address] = fake_jetson_utils.Camera([fake_jetson_utils.flat(1, 2, 3)])
    assert isinstance(open_live(address), JetsonSource)
    assert on_board(address)
    assert on_board(CSI)
    assert not on_board("rtsp://camera/1")
    monkeypatch.setitem(sys.modules, "jetson_utils", None)
    assert not on_board(address)
    with pytest.raises(SourceLost, match="v4l2:///dev/video99: cannot be opened") as lost:
        open_live(address)
    assert "No such file" in str(lost.value)
    assert not isinstance(lost.value.__cause__, Unavailable)
    with pytest.raises(SourceLost, match=r"rtsp://127\.0\.0\.1:9/1: cannot be opened"):
        open_live("rtsp://127.0.0.1:9/1")


def test_a_camera_that_does_not_exist_or_does_not_start_cannot_be_opened(plugged: Callable[..., Camera]) -> None:
    with pytest.raises(SourceLost, match=r"csi://1: cannot be opened \(.*failed to create videoSource device"):
        JetsonSource("csi://1", open_s=0.1, read_s=0.1)
    camera = plugged(opens_with=Exception("videoSource failed to capture image"))
    with pytest.raises(SourceLost, match="csi://0: cannot be opened"):
        opened(open_s=5.0)  # at once: it does not stream
    assert camera.opened == 1


def test_a_camera_that_shows_nothing_in_time_cannot_be_opened(
    plugged: Callable[..., Camera], fake_jetson_utils: ModuleType
) -> None:
    camera = plugged(fake_jetson_utils.TIMEOUT)
    with pytest.raises(SourceLost, match=r"cannot be opened \(no picture within 5 s\)"):
        opened(open_s=5.0)
    assert camera.timeouts == [5000]
    assert camera.closed == 1


def test_a_timeout_is_a_loss_after_the_pictures_before_it(
    plugged: Callable[..., Camera], fake_jetson_utils: ModuleType
) -> None:
    fakes = fake_jetson_utils
    camera = plugged(fakes.flat(1, 1, 1), fakes.flat(2, 2, 2), fakes.TIMEOUT)
    frames = opened(read_s=2.0).frames()
    assert [next(frames).index, next(frames).index] == [0, 1]
    with pytest.raises(SourceLost, match=r"csi://0: lost \(no picture within 2 s\)") as lost:
        next(frames)
    assert lost.value.exit_status == 69
    assert camera.timeouts[1:] == [2000, 2000]


def test_a_feed_of_a_camera_that_is_lost_is_offline(
    plugged: Callable[..., Camera], fake_jetson_utils: ModuleType
) -> None:
    plugged(fake_jetson_utils.flat(60, 60, 60), fake_jetson_utils.TIMEOUT)
    feed = CaptureBuffer(opened(), pace="live")
    frame = feed.take(10)
    assert frame is not None
    with pytest.raises(SourceLost):
        feed.take(10)
    assert feed.state() == "offline"
    feed.close()


def test_an_error_of_a_camera_that_streams_on_is_no_loss(
    plugged: Callable[..., Camera], fake_jetson_utils: ModuleType
) -> None:
    fakes = fake_jetson_utils
    camera = plugged(fakes.ERROR, fakes.flat(1, 1, 1), fakes.ERROR, fakes.flat(9, 9, 9))
    frames = opened(open_s=5.0, read_s=5.0).frames()
    assert [int(packed(next(frames)).rgb[0, 0, 0]) for _ in range(2)] == [1, 9]
    assert camera.opened == 1


def test_errors_up_to_the_deadline_are_a_loss(plugged: Callable[..., Camera], fake_jetson_utils: ModuleType) -> None:
    fakes = fake_jetson_utils
    plugged(fakes.flat(1, 1, 1), *[fakes.ERROR] * 10_000)
    frames = opened().frames()
    next(frames)
    with pytest.raises(SourceLost, match=r"lost \(.*failed to capture image"):
        next(frames)


def test_the_end_is_a_loss_and_the_camera_is_not_opened_again(
    plugged: Callable[..., Camera], fake_jetson_utils: ModuleType
) -> None:
    fakes = fake_jetson_utils
    camera = plugged(fakes.flat(1, 1, 1), fakes.END, fakes.flat(2, 2, 2))
    frames = opened(read_s=5.0).frames()
    next(frames)
    with pytest.raises(SourceLost, match="the camera ended the stream"):
        next(frames)
    assert camera.opened == 1


def test_a_kept_frame_does_not_change_when_the_ring_goes_round(
    plugged: Callable[..., Camera], fake_jetson_utils: ModuleType
) -> None:
    fakes = fake_jetson_utils
    camera = plugged(*(fakes.flat(20 * n, 20 * n, 20 * n) for n in range(12)))
    source = opened()
    slot = source.slot()
    for n, frame in zip(range(12), source.frames(), strict=False):
        kept = packed(slot.keep(frame, frame.decoded)).rgb
        camera.overwrite_ring()
        assert kept.min() == kept.max() == 20 * n
        assert len(camera.ring) == fakes.RING


def test_the_gpu_alone_copies_a_picture_and_once(
    plugged: Callable[..., Camera], fake_jetson_utils: ModuleType, jetson: Library
) -> None:
    plugged(*(fake_jetson_utils.flat(20 * n, 1, 1) for n in range(6)))
    feed = CaptureBuffer(opened(), pace="live")
    kept: list[int | None] = []

    def take_all() -> None:
        while isinstance(frame := feed.take(10), Frame):
            kept.append(packed(frame).address)

    with pytest.raises(SourceLost):
        take_all()
    slots = {image.ptr for image in jetson.allocated if image.size == 320 * 240 * 3}
    assert kept
    assert set(kept) <= slots
    assert {target for _, target in jetson.copies} <= slots
    assert len(jetson.copies) == 6  # one a picture, whether it was taken or dropped
    feed.close()


def test_a_frame_that_the_ring_has_given_up_is_not_copied(
    plugged: Callable[..., Camera], fake_jetson_utils: ModuleType
) -> None:
    plugged(*(fake_jetson_utils.flat(9, 9, 9) for _ in range(2)))
    source = opened()
    slot, frame = source.slot(), next(source.frames())
    source.close()
    with pytest.raises(SourceLost, match="its pictures are gone"):
        slot.keep(frame, frame.decoded)


def test_colours_are_the_cameras(plugged: Callable[..., Camera], fake_jetson_utils: ModuleType) -> None:
    def quarters(picture: Any) -> None:
        picture[:120, :160], picture[:120, 160:] = (200, 30, 40), (30, 180, 60)
        picture[120:, :160], picture[120:, 160:] = (20, 40, 210), (230, 230, 230)

    plugged(fake_jetson_utils.Picture(quarters))
    source = opened()
    crop = warp(source.slot().keep(next(source.frames()), MonotonicNs(0)), IDENTITY, (320, 240))
    for at, colour in (((60, 80), (200, 30, 40)), ((60, 240), (30, 180, 60)), ((180, 80), (20, 40, 210))):
        assert tuple(crop[at]) == colour
    assert tuple(crop[180, 240]) == (230, 230, 230)


def test_times_are_the_cameras_and_are_made_up_where_it_states_none(
    plugged: Callable[..., Camera], fake_jetson_utils: ModuleType
) -> None:
    stamps = (7_000_000_000, 7_033_000_000, 0, 7_120_000_000)
    plugged(*(fake_jetson_utils.flat(1, 1, 1, stamp_ns=stamp) for stamp in stamps))
    frames = opened().frames()
    assert [next(frames).at for _ in stamps] == [0, 33_000_000, 73_000_000, 120_000_000]


def test_closing_leaves_nothing_in_the_ring_and_a_feed_nothing_in_its_slots(
    plugged: Callable[..., Camera], fake_jetson_utils: ModuleType, jetson: Library
) -> None:
    camera = plugged(*(fake_jetson_utils.flat(90, 120, 150) for _ in range(9)), fake_jetson_utils.TIMEOUT)
    source = opened()
    feed = CaptureBuffer(source, pace="live")
    held = feed.take(10)
    assert isinstance(held, Frame)
    assert packed(held).rgb.any()
    assert any(buffer.any() for buffer in camera.ring)
    feed.close()
    assert not packed(held).rgb.any()
    slots = [image for image in jetson.allocated if image.size == 320 * 240 * 3]
    assert len(slots) == 3
    assert not any(image.memory.any() for image in slots)
    source.close()
    assert (camera.closed, camera.left_behind) == (1, False)
    assert source.info.width == 320


def test_a_stalled_camera_s_slots_are_blank_but_for_what_nobody_has_taken(
    plugged: Callable[..., Camera], fake_jetson_utils: ModuleType
) -> None:
    plugged(fake_jetson_utils.flat(90, 120, 150), fake_jetson_utils.TIMEOUT)
    feed = CaptureBuffer(opened(), pace="live")
    held = feed.take(10)
    assert isinstance(held, Frame)
    assert packed(held).rgb.any()
    feed.blank()
    assert not packed(held).rgb.any()
    feed.close()


def test_a_closed_camera_delivers_nothing(plugged: Callable[..., Camera], fake_jetson_utils: ModuleType) -> None:
    camera = plugged(*(fake_jetson_utils.flat(90, 120, 150) for _ in range(9)))
    source = opened()
    frames = source.frames()
    next(frames)
    source.close()
    assert (camera.closed, camera.left_behind) == (1, False)
    with pytest.raises(SourceLost, match="closed"):
        next(frames)


def test_a_camera_that_changes_its_size_is_lost(plugged: Callable[..., Camera], fake_jetson_utils: ModuleType) -> None:
    fakes = fake_jetson_utils
    camera = plugged(fakes.flat(1, 1, 1), fakes.flat(1, 1, 1, size=(640, 480)))
    source = opened()
    frames = source.frames()
    next(frames)
    freed = list(camera.ring)
    with pytest.raises(SourceLost, match="size changed to 640x480"):
        next(frames)
    source.close()
    assert all((buffer == fakes.POISON).all() for buffer in freed)  # nobody wrote to what was no longer ours
    assert camera.left_behind is False


def test_pictures_that_only_the_gpu_can_read_are_refused(
    plugged: Callable[..., Camera], fake_jetson_utils: ModuleType
) -> None:
    camera = plugged(fake_jetson_utils.flat(1, 1, 1), mapped=False)
    with pytest.raises(Unavailable, match="only the GPU can read"):
        opened()
    assert camera.closed == 1


def test_a_picture_of_odd_sides_is_taken(plugged: Callable[..., Camera], fake_jetson_utils: ModuleType) -> None:
    plugged(fake_jetson_utils.flat(1, 2, 3), size=(321, 241))
    source = opened()
    kept = source.slot().keep(next(source.frames()), MonotonicNs(0))
    assert (kept.width, kept.height, tuple(packed(kept).rgb[240, 320])) == (321, 241, (1, 2, 3))


def test_a_library_whose_blue_comes_first_is_refused(
    plugged: Callable[..., Camera], fake_jetson_utils: ModuleType, jetson: Library
) -> None:
    jetson.blue_first = True
    plugged(fake_jetson_utils.flat(1, 1, 1))
    with pytest.raises(Unavailable, match=r"makes \[0, 0, 254\] of red, not \[255, 0, 0\]"):
        opened()


def test_a_gpu_without_memory_for_slots_says_so(
    plugged: Callable[..., Camera], fake_jetson_utils: ModuleType, jetson: Library
) -> None:
    plugged(fake_jetson_utils.flat(1, 1, 1))
    source = opened()

    def refuse(**_: Any) -> None:
        raise Exception("CUDA error (2) - out of memory")

    setattr(sys.modules["jetson_utils"], "cudaAllocMapped", refuse)
    with pytest.raises(SourceLost, match=r"no memory for its pictures .*run fewer cameras"):
        CaptureBuffer(source, pace="live")
    source.close()
