"""The pixel format of a frame, for tests that know which one it is."""

from __future__ import annotations

from device.domain.sight import Frame, Packed, Planes


def planes(frame: Frame) -> Planes:
    """The picture of a frame in 4:2:0 planes."""
    assert isinstance(frame.picture, Planes)
    return frame.picture


def packed(frame: Frame) -> Packed:
    """The picture of a frame in packed RGB."""
    assert isinstance(frame.picture, Packed)
    return frame.picture
