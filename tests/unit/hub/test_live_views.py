"""Live views at the hub: in memory, opened with a key that nobody stores, gone with their time."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import cv2
import numpy as np
import pyrage
import pytest

from device.domain.time import WallTime, wall
from device.errors import BadData
from device.wire.view_content import ViewContent, pack_view
from tools.hub.console.live_views import KEPT_S, SEALED_MOST_BYTES, SHOWN_S, LiveViews

NOON = wall(datetime(2026, 11, 23, 12, 0, tzinfo=timezone.utc))


def cells(columns: int = 12, rows: int = 7) -> bytes:
    return cv2.imencode(".jpg", np.full((rows, columns, 3), 90, np.uint8))[1].tobytes()


JPEG = cells()


def after(seconds: float) -> WallTime:
    return wall(NOON + timedelta(seconds=seconds))


def sealed(recipient: str, content: bytes = JPEG) -> bytes:
    packed = pack_view(ViewContent(jpeg=content, columns=12, rows=7, width=1280, height=720))
    return bytes(pyrage.encrypt(packed, [pyrage.x25519.Recipient.from_str(recipient)]))


def test_the_last_picture_of_each_camera_is_kept_until_it_is_stale() -> None:
    views = LiveViews()
    recipient = views.begin("cam-1", NOON)
    views.take("cam-1", "front", sealed(recipient), NOON)
    views.take("cam-1", "front", sealed(recipient, JPEG + b" 2"), after(1))
    assert views.picture("cam-1", "front") == JPEG + b" 2"
    shown = views.shown("cam-1")
    assert shown is not None
    assert {name: each["version"] for name, each in shown["cameras"].items()} == {"front": 2}
    assert not views.tick(after(KEPT_S))
    assert views.tick(after(KEPT_S + 2))
    assert views.picture("cam-1", "front") is None


def test_a_clock_that_is_set_back_keeps_no_picture() -> None:
    views = LiveViews()
    views.take("cam-1", "front", sealed(views.begin("cam-1", NOON)), NOON)
    assert views.tick(after(-60))
    assert views.picture("cam-1", "front") is None


def test_a_view_ends_at_its_time_and_each_has_a_key_of_its_own() -> None:
    views = LiveViews()
    first = views.begin("cam-1", NOON)
    second = views.begin("cam-1", after(1))
    assert first != second
    views.take("cam-1", "front", sealed(first), after(2))
    assert views.picture("cam-1", "front") is None, "a picture of the view before"
    views.take("cam-1", "front", sealed(second), after(2))
    assert views.picture("cam-1", "front") == JPEG
    views.take("cam-1", "front", sealed(second), after(SHOWN_S + 1))
    assert (views.picture("cam-1", "front"), views.shown("cam-1")) == (None, None)


def test_of_a_device_that_nobody_looks_at_nothing_is_opened() -> None:
    views = LiveViews()
    recipient = views.begin("cam-1", NOON)
    views.take("cam-2", "front", sealed(recipient), NOON)
    assert views.picture("cam-2", "front") is None
    views.end("cam-1")
    views.take("cam-1", "front", sealed(recipient), NOON)
    assert views.picture("cam-1", "front") is None


@pytest.mark.parametrize(
    "content", [b"GIF89a", b"\xff\xd8\xff", JPEG[:12], JPEG + b"x" * SEALED_MOST_BYTES, cells(48, 27), cells(7, 12)]
)
def test_no_jpeg_one_that_is_too_large_and_one_that_is_finer_than_the_cells_are_faults(content: bytes) -> None:
    views = LiveViews()
    recipient = views.begin("cam-1", NOON)
    with pytest.raises(BadData):
        views.take("cam-1", "front", sealed(recipient, content), NOON)


def test_more_cells_than_a_view_has_are_a_fault() -> None:
    views = LiveViews()
    recipient = views.begin("cam-1", NOON)
    packed = pack_view(ViewContent(jpeg=cells(48, 27), columns=48, rows=27, width=1280, height=720))
    with pytest.raises(BadData):
        views.take("cam-1", "front", pyrage.encrypt(packed, [pyrage.x25519.Recipient.from_str(recipient)]), NOON)
    assert views.picture("cam-1", "front") is None


def test_more_cameras_than_a_device_can_have_are_a_fault() -> None:
    views = LiveViews()
    recipient = views.begin("cam-1", NOON)
    for n in range(8):
        views.take("cam-1", f"c{n}", sealed(recipient), NOON)
    with pytest.raises(BadData):
        views.take("cam-1", "c9", sealed(recipient), NOON)
