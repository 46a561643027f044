"""A frame's picture as the kind that the test delivered: `from tests.pictures import planes, packed`."""

from __future__ import annotations

from device.domain.sight import Frame, Packed, Planes


def planes(frame: Frame) -> Planes:
    """The picture of a frame that was decoded to YUV planes."""
    assert isinstance(frame.picture, Planes)
    return frame.picture


def packed(frame: Frame) -> Packed:
    """The picture of a frame that a camera's library gave as RGB."""
    assert isinstance(frame.picture, Packed)
    return frame.picture
