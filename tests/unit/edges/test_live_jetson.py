"""Cameras through jetson_utils, on a fake of it: what is refused, what is lost, what stays of a picture."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from device.edges.live import on_board, open_live
from device.edges.live_jetson import JetsonSource
from device.edges.mailbox import Feed
from device.errors import SourceLost, Unavailable
from device.vision.picture import warp

CSI = "csi://0"
IDENTITY = np.array([[1, 0, 0], [0, 1, 0]], np.float32)


@pytest.fixture
def plugged(jetson: Any, fake_jetson_utils: ModuleType) -> Any:
    """Plugs a camera with some steps into csi://0."""

    def plug(*steps: Any, **properties: Any) -> Any:
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
    with pytest.raises(Unavailable, match=r"dist-packages/jetson_utils.*not NVIDIA's.*somebody else's") as refused:
        open_live(CSI)
    assert not isinstance(refused.value, SourceLost)  # which would be tried again for ever


def test_v4l2_goes_through_the_library_where_it_is_and_through_ffmpeg_elsewhere(
    jetson: Any, fake_jetson_utils: ModuleType, monkeypatch: pytest.MonkeyPatch
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


def test_a_camera_that_does_not_exist_or_does_not_start_cannot_be_opened(plugged: Any) -> None:
    with pytest.raises(SourceLost, match=r"csi://1: cannot be opened \(.*failed to create videoSource device"):
        JetsonSource("csi://1", open_s=0.1, read_s=0.1)
    camera = plugged(opens_with=Exception("videoSource failed to capture image"))
    with pytest.raises(SourceLost, match="csi://0: cannot be opened"):
        opened(open_s=5.0)  # at once: it does not stream
    assert camera.opened == 1


def test_a_camera_that_shows_nothing_in_time_cannot_be_opened(plugged: Any, fake_jetson_utils: ModuleType) -> None:
    camera = plugged(fake_jetson_utils.TIMEOUT)
    with pytest.raises(SourceLost, match=r"cannot be opened \(no picture within 5 s\)"):
        opened(open_s=5.0)
    assert camera.timeouts == [5000]
    assert camera.closed == 1


def test_a_timeout_is_a_loss_after_the_pictures_before_it(plugged: Any, fake_jetson_utils: ModuleType) -> None:
    fakes = fake_jetson_utils
    camera = plugged(fakes.flat(1, 1, 1), fakes.flat(2, 2, 2), fakes.TIMEOUT)
    frames = opened(read_s=2.0).frames()
    assert [next(frames).index, next(frames).index] == [0, 1]
    with pytest.raises(SourceLost, match=r"csi://0: lost \(no picture within 2 s\)") as lost:
        next(frames)
    assert lost.value.exit_status == 69
    assert camera.timeouts[1:] == [2000, 2000]


def test_a_feed_of_a_camera_that_is_lost_is_offline(plugged: Any, fake_jetson_utils: ModuleType) -> None:
    plugged(fake_jetson_utils.flat(60, 60, 60), fake_jetson_utils.TIMEOUT)
    feed = Feed(opened(), pace="live")
    frame = feed.take(10)
    assert frame is not None
    with pytest.raises(SourceLost):
        feed.take(10)
    assert feed.state() == "offline"
    feed.close()


def test_an_error_of_a_camera_that_streams_on_is_no_loss(plugged: Any, fake_jetson_utils: ModuleType) -> None:
    fakes = fake_jetson_utils
    camera = plugged(fakes.ERROR, fakes.flat(1, 1, 1), fakes.ERROR, fakes.flat(9, 9, 9))
    frames = opened(open_s=5.0, read_s=5.0).frames()
    assert [int(next(frames).y[0, 0]) for _ in range(2)] == [1, 9]
    assert camera.opened == 1


def test_errors_up_to_the_deadline_are_a_loss(plugged: Any, fake_jetson_utils: ModuleType) -> None:
    fakes = fake_jetson_utils
    plugged(fakes.flat(1, 1, 1), *[fakes.ERROR] * 10_000)
    frames = opened().frames()
    next(frames)
    with pytest.raises(SourceLost, match=r"lost \(.*failed to capture image"):
        next(frames)


def test_the_end_is_a_loss_and_the_camera_is_not_opened_again(plugged: Any, fake_jetson_utils: ModuleType) -> None:
    fakes = fake_jetson_utils
    camera = plugged(fakes.flat(1, 1, 1), fakes.END, fakes.flat(2, 2, 2))
    frames = opened(read_s=5.0).frames()
    next(frames)
    with pytest.raises(SourceLost, match="the camera ended the stream"):
        next(frames)
    assert camera.opened == 1


def test_a_frame_does_not_change_when_the_ring_goes_round(plugged: Any, fake_jetson_utils: ModuleType) -> None:
    fakes = fake_jetson_utils
    camera = plugged(*(fakes.flat(20 * n, 20 * n, 20 * n) for n in range(12)))
    for n, frame in zip(range(12), opened().frames(), strict=False):
        camera.overwrite_ring()
        assert frame.y.min() == frame.y.max() == 20 * n
        assert len(camera.ring) == fakes.RING


@pytest.mark.parametrize("exchanged", [False, True])
def test_colours_are_the_cameras_in_whatever_order_the_planes_come(
    plugged: Any, fake_jetson_utils: ModuleType, jetson: Any, exchanged: bool
) -> None:
    jetson.chroma_exchanged = exchanged

    def quarters(picture: Any) -> None:
        picture[:120, :160], picture[:120, 160:] = (200, 30, 40), (30, 180, 60)
        picture[120:, :160], picture[120:, 160:] = (20, 40, 210), (230, 230, 230)

    plugged(fake_jetson_utils.Picture(quarters))
    frame = next(opened().frames())
    crop = warp(frame, IDENTITY, (320, 240)).astype(int)
    for at, colour in (((60, 80), (200, 30, 40)), ((60, 240), (30, 180, 60)), ((180, 80), (20, 40, 210))):
        assert np.abs(crop[at] - colour).max() <= 6
    assert np.abs(crop[180, 240] - 230).max() <= 6


def test_times_are_the_cameras_and_are_made_up_where_it_states_none(
    plugged: Any, fake_jetson_utils: ModuleType
) -> None:
    stamps = (7_000_000_000, 7_033_000_000, 0, 7_120_000_000)
    plugged(*(fake_jetson_utils.flat(1, 1, 1, stamp_ns=stamp) for stamp in stamps))
    frames = opened().frames()
    assert [next(frames).at for _ in stamps] == [0, 33_000_000, 73_000_000, 120_000_000]


def test_closing_leaves_nothing_in_the_ring_or_in_a_frame(plugged: Any, fake_jetson_utils: ModuleType) -> None:
    camera = plugged(*(fake_jetson_utils.flat(90, 120, 150) for _ in range(9)))
    source = opened()
    frames = source.frames()
    held = [next(frames) for _ in range(6)][-1]
    assert held.y.any()
    source.close()
    for plane in (held.y, held.u, held.v):
        assert not plane.any()
    assert (camera.closed, camera.left_behind) == (1, False)
    with pytest.raises(SourceLost, match="closed"):
        next(frames)
    source.close()
    assert camera.closed == 1
    assert source.info.width == 320


def test_a_camera_that_changes_its_size_is_lost(plugged: Any, fake_jetson_utils: ModuleType) -> None:
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


@pytest.mark.parametrize(
    ("properties", "said"),
    [({"size": (321, 240)}, "321x240; both must be even"), ({"mapped": False}, "only the GPU can read")],
)
def test_pictures_that_cannot_be_taken_are_refused(
    plugged: Any, fake_jetson_utils: ModuleType, properties: dict[str, Any], said: str
) -> None:
    camera = plugged(fake_jetson_utils.flat(1, 1, 1), **properties)
    with pytest.raises(Unavailable, match=said):
        opened()
    assert (camera.closed, camera.left_behind) == (1, not properties.get("mapped", True))


def test_a_library_that_converts_otherwise_is_refused(plugged: Any, fake_jetson_utils: ModuleType, jetson: Any) -> None:
    jetson.converts_to_grey = True
    plugged(fake_jetson_utils.flat(1, 1, 1))
    with pytest.raises(Unavailable, match=r"converts red to \[76, 128, 128\], not to \(76, 84, 255\)"):
        opened()
