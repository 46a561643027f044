"""A live source delivers what the camera sends, and is lost in time when the camera is."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from device.edges.camera.capture_buffer import CaptureBuffer
from device.edges.camera.live import LiveSource, device_of, is_live, with_address, without_password
from device.errors import SourceLost, UsageError
from tests.pictures import planes
from tests.unit.edges import rtsp_camera

FRAMES = 100
LATE_S = 15.0  # on a busy machine; without the deadlines the camera is waited for for 60 s and for ever


@pytest.fixture
def camera(tmp_path: Path, videos: ModuleType) -> Iterator[rtsp_camera.RtspCamera]:
    path = videos.recording(tmp_path / "camera.ts", frames=FRAMES, options={"g": "10", "bf": "0"})
    served = rtsp_camera.RtspCamera(path)
    yield served
    served.close()


def opened(address: str, **deadlines: Any) -> LiveSource:
    return LiveSource(address, **({"open_s": 10.0, "read_s": 10.0} | deadlines))


def watch(source: LiveSource, arrived: list[float]) -> None:
    """Read frames as long as they come, noting when each did."""
    for _ in source.frames():
        arrived.append(time.monotonic())


def test_a_camera_is_live_and_its_frames_are_upright_and_in_order(
    camera: rtsp_camera.RtspCamera, videos: ModuleType
) -> None:
    source = opened(camera.address)
    assert source.info.live
    assert (source.info.width, source.info.height) == (320, 240)
    frames = source.frames()
    numbers = [videos.index_in(planes(next(frames)).y) for _ in range(50)]
    assert numbers == sorted(set(numbers))
    source.close()


def test_a_camera_that_hangs_up_is_lost_after_its_last_frames(camera: rtsp_camera.RtspCamera) -> None:
    source = opened(camera.address)
    camera.hang_up()
    arrived: list[float] = []
    with pytest.raises(SourceLost, match=r"lost|ended the stream") as lost:
        watch(source, arrived)
    assert len(arrived) > FRAMES // 2
    assert lost.value.exit_status == 69
    source.close()


@pytest.mark.slow
def test_a_camera_that_stops_sending_is_lost_at_the_read_deadline(camera: rtsp_camera.RtspCamera) -> None:
    source = opened(camera.address, read_s=0.5)
    arrived: list[float] = []
    with pytest.raises(SourceLost, match="lost"):
        watch(source, arrived)
    assert time.monotonic() - arrived[-1] < LATE_S
    source.close()


def test_a_feed_of_a_camera_closes_within_the_read_deadline(camera: rtsp_camera.RtspCamera) -> None:
    feed = CaptureBuffer(opened(camera.address, read_s=0.5), pace="live")
    assert feed.take(10) is not None
    feed.close()
    assert feed.state() in ("ended", "offline")


def test_a_camera_that_refuses_or_does_not_answer_is_lost_at_the_open_deadline() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"rtsp://127.0.0.1:{silent.getsockname()[1]}/front"
        began = time.monotonic()
        with pytest.raises(SourceLost, match="cannot be opened"):
            opened(address, open_s=0.5, read_s=0.5)
        assert time.monotonic() - began < LATE_S
    with pytest.raises(SourceLost, match="cannot be opened"):
        opened(address)


def test_a_missing_capture_device_is_lost() -> None:
    with pytest.raises(SourceLost, match=r"v4l2:///dev/video99: cannot be opened"):
        opened("v4l2:///dev/video99")


def test_a_password_is_never_shown(camera: rtsp_camera.RtspCamera) -> None:
    source = opened(camera.address)
    assert "secret" not in source.info.name
    source.close()
    assert without_password("rtsp://user:p@host:554/1") == "rtsp://host:554/1"


@pytest.mark.parametrize("address", ["http://host/a", "csi://0", "/tmp/a.mp4"])
def test_only_addresses_that_ffmpeg_reaches_are_taken(address: str) -> None:
    with pytest.raises(UsageError):
        LiveSource(address)


def test_live_addresses_are_distinguished_from_recordings() -> None:
    reported: Callable[[str], bool] = is_live
    assert [reported(a) for a in ("rtsp://a", "RTSPS://a", "v4l2:///dev/video0", "csi://0")] == [True] * 4
    assert [reported(a) for a in ("/a/rtsp.mp4", "file:///a", "a.mp4")] == [False] * 3


def test_a_bare_device_is_a_camera_as_the_configuration_says() -> None:
    address = with_address("/dev/video1")
    assert address == "v4l2:///dev/video1"
    assert is_live(address)
    assert device_of(address) == Path("/dev/video1")
    assert with_address("/clips/video1.mp4") == "/clips/video1.mp4"
