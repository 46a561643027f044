"""A V4L2 camera on a real kernel: vivid, opened as the vision worker opens one, and lost as a cable that is pulled."""

from __future__ import annotations

import fcntl
import os
import struct
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from device.domain.sight import U8, Frame, Packed
from device.edges.camera.live import LiveSource, open_live
from device.errors import SourceLost

NAME = "/dev/video0"
QUERYCTRL, S_CTRL = 0xC0445624, 0xC008561C
"""VIDIOC_QUERYCTRL, VIDIOC_S_CTRL (linux/videodev2.h)."""
NEXT = 0x80000000


def controls(camera: int) -> dict[str, int]:
    """Every control of the driver: id by name (struct v4l2_queryctrl)."""
    found: dict[str, int] = {}
    last = 0
    while True:
        asked = bytearray(struct.pack("=II32s9I", last | NEXT, 0, b"", *[0] * 9))
        try:
            fcntl.ioctl(camera, QUERYCTRL, asked)
        except OSError:
            return found
        last, _, name = struct.unpack_from("=II32s", asked)
        found[name.split(b"\0")[0].decode()] = last


@pytest.fixture
def camera() -> Iterator[LiveSource]:
    source = open_live(f"v4l2://{NAME}")
    assert isinstance(source, LiveSource)
    yield source
    source.close()


def luma(frame: Frame) -> U8:
    """A copy of the picture's brightness, or of its RGB where the driver sends that."""
    picture = frame.picture
    return np.array(picture.rgb if isinstance(picture, Packed) else picture.y, copy=True)


def test_the_camera_is_vivids_and_delivers_pictures_that_move(camera: LiveSource) -> None:
    assert "vivid" in Path("/sys/class/video4linux/video0/name").read_text()
    pictures = []
    for frame in camera.frames():
        assert (frame.width, frame.height) == (camera.info.width, camera.info.height)
        pictures.append(luma(frame))
        if len(pictures) == 8:
            break
    assert camera.info.live
    assert pictures[0].std() > 10, "colour bars, not one colour"
    assert any((one != pictures[0]).any() for one in pictures[1:]), "its clock runs in the picture"


def test_a_camera_that_is_pulled_is_lost_at_once_and_named(camera: LiveSource) -> None:
    frames = camera.frames()
    next(frames)
    device = os.open(NAME, os.O_RDWR | os.O_NONBLOCK)
    try:
        control = controls(device)["Disconnect"]
        fcntl.ioctl(device, S_CTRL, bytearray(struct.pack("=Ii", control, 1)))
    finally:
        os.close(device)
    with pytest.raises(SourceLost, match="video0"):
        list(islice(frames, 100))


def test_a_camera_that_is_not_there_is_lost_and_named() -> None:
    with pytest.raises(SourceLost, match="video63: cannot be opened"):
        open_live("v4l2:///dev/video63")
