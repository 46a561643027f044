"""The worker's live view: coarse, encrypted, over without a renewal, and the first that is dropped."""

from __future__ import annotations

import cv2
import numpy as np
import pyrage
import pytest

from device.domain.sight import U8, Face, Frame, Packed, Picture, Planes
from device.domain.time import NS_PER_S, MediaNs, MonotonicNs
from device.wire.link import VIEW_MAX_BYTES
from device.wire.view_content import FACES_MOST, unpack_view
from device.worker.live_view import COLUMNS, LATE_NS, RENEWED_WITHIN_NS, ROWS, LiveView, Marks

NOW = 100 * NS_PER_S


@pytest.fixture
def hub() -> pyrage.x25519.Identity:
    return pyrage.x25519.Identity.generate()


@pytest.fixture
def shown(hub: pyrage.x25519.Identity) -> LiveView:
    view = LiveView()
    view.renew(str(hub.to_public()), NOW)
    return view


def noise(height: int = 720, width: int = 1280) -> U8:
    return np.random.default_rng(1).integers(0, 256, (height, width), np.uint8)


def a_frame(picture: Picture | None = None, at: int = NOW) -> Frame:
    grey = np.full((360, 640), 128, np.uint8)
    return Frame(0, MediaNs(0), MonotonicNs(at), picture or Planes(noise(), grey, grey))


def opened(sealed: bytes | None, hub: pyrage.x25519.Identity) -> U8:
    assert sealed is not None
    jpeg = unpack_view(pyrage.decrypt(sealed, [hub])).jpeg
    decoded = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert decoded is not None
    return np.asarray(decoded, np.uint8)


def test_nothing_is_made_unless_it_was_asked_for() -> None:
    assert LiveView().picture(a_frame(), dropped=0, now_ns=NOW) is None


def test_a_picture_is_the_grids_mean_colours_for_the_hub_alone(shown: LiveView, hub: pyrage.x25519.Identity) -> None:
    sealed = shown.picture(a_frame(), dropped=0, now_ns=NOW)
    assert opened(sealed, hub).shape == (ROWS, COLUMNS, 3)
    assert np.ptp(opened(sealed, hub)) < 25, "80 x 80 pixels of noise are averaged to nothing"
    assert sealed is not None
    assert len(sealed) < VIEW_MAX_BYTES / 2
    with pytest.raises(pyrage.DecryptError):
        pyrage.decrypt(sealed, [pyrage.x25519.Identity.generate()])


@pytest.mark.parametrize(("height", "width"), [(720, 1280), (1080, 1920), (480, 640), (1280, 720)])
def test_every_size_and_both_kinds_of_picture_become_the_same_coarse_grid(
    hub: pyrage.x25519.Identity, height: int, width: int
) -> None:
    rgb = np.zeros((height, width, 3), np.uint8)
    rgb[:, : width // 2] = (200, 40, 40)
    for picture in (Packed(rgb), _planes(rgb)):
        view = LiveView()
        view.renew(str(hub.to_public()), NOW)
        cells = opened(view.picture(a_frame(picture), dropped=0, now_ns=NOW), hub)
        assert cells.shape == (ROWS, COLUMNS, 3)
        assert cells[3, 2, 2] > 150 > 60 > cells[3, 9, 2]


def _planes(rgb: U8) -> Planes:
    yuv = np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2YUV_I420), np.uint8).reshape(-1)
    size, quarter = rgb.shape[0] * rgb.shape[1], rgb.shape[0] * rgb.shape[1] // 4
    half = (rgb.shape[0] // 2, rgb.shape[1] // 2)
    return Planes(
        yuv[:size].reshape(rgb.shape[:2]),
        yuv[size : size + quarter].reshape(half),
        yuv[size + quarter :].reshape(half),
    )


def test_one_picture_a_second_and_none_three_seconds_after_the_last_renewal(
    shown: LiveView, hub: pyrage.x25519.Identity
) -> None:
    made = []
    for tenth in range(60):
        now = NOW + tenth * NS_PER_S // 10
        made.append(shown.picture(a_frame(at=now), dropped=0, now_ns=now) is not None)
    assert [n for n, one in enumerate(made) if one] == [0, 10, 20]
    assert RENEWED_WITHIN_NS == 3 * NS_PER_S
    shown.renew(str(hub.to_public()), NOW + 6 * NS_PER_S)
    assert shown.picture(a_frame(at=NOW + 6 * NS_PER_S), dropped=0, now_ns=NOW + 6 * NS_PER_S) is not None


def test_it_ends_at_once_when_it_is_shown_to_nobody(shown: LiveView) -> None:
    shown.renew(None, NOW)
    assert shown.picture(a_frame(), dropped=0, now_ns=NOW) is None


def test_a_recipient_that_is_none_ends_the_view_and_not_the_worker(shown: LiveView) -> None:
    shown.renew("age1" + "q" * 58, NOW)
    assert shown.picture(a_frame(), dropped=0, now_ns=NOW) is None


def test_it_is_dropped_first_when_the_worker_is_late(shown: LiveView) -> None:
    assert shown.picture(a_frame(at=NOW - LATE_NS - 1), dropped=0, now_ns=NOW) is None
    assert shown.picture(a_frame(), dropped=1, now_ns=NOW) is None
    later = NOW + NS_PER_S
    assert shown.picture(a_frame(at=later), dropped=1, now_ns=later) is None
    later += 3 * NS_PER_S // 2
    assert shown.picture(a_frame(at=later), dropped=1, now_ns=later) is not None


def a_face(x: float, y: float, height: float) -> Face:
    half = height / 2
    box = np.array([x - half, y - half, x + half, y + half], np.float32)
    return Face(box, np.zeros((5, 2), np.float32), 0.9)


def test_a_commissioning_view_names_heights_at_cells_the_largest_first_and_the_zone(
    shown: LiveView, hub: pyrage.x25519.Identity
) -> None:
    faces = [a_face(10, 10, 20.4), a_face(1279, 719, 300.0), a_face(-5, 2000, 40)]
    marks = Marks(faces, 32.0, ((0, 0), (1, 0), (0.5, 1)))
    sealed = shown.picture(a_frame(), dropped=0, now_ns=NOW, marks=marks)
    assert sealed is not None
    content = unpack_view(pyrage.decrypt(sealed, [hub]))
    assert [(f.column, f.row, f.height_px) for f in content.faces] == [(11, 6, 300), (0, 6, 40), (0, 0, 20)]
    assert (content.commissioning, content.min_face_px, content.width, content.height) == (True, 32.0, 1280, 720)
    assert content.zone == ((0, 0), (1000, 0), (500, 1000))


def test_a_crowd_still_fits_into_one_message(shown: LiveView, hub: pyrage.x25519.Identity) -> None:
    crowd = Marks(
        [a_face(9.0 * n, 5.0 * n, 30.0 + n) for n in range(120)], 32.0, tuple((n / 64, n / 64) for n in range(64))
    )
    sealed = shown.picture(a_frame(), dropped=0, now_ns=NOW, marks=crowd)
    assert sealed is not None
    assert len(sealed) < VIEW_MAX_BYTES
    assert len(unpack_view(pyrage.decrypt(sealed, [hub])).faces) == FACES_MOST


def test_a_live_view_has_no_marks(shown: LiveView, hub: pyrage.x25519.Identity) -> None:
    sealed = shown.picture(a_frame(), dropped=0, now_ns=NOW)
    assert sealed is not None
    content = unpack_view(pyrage.decrypt(sealed, [hub]))
    assert (content.commissioning, content.faces, content.zone) == (False, (), ())


def test_a_picture_smaller_than_the_grid_is_no_fault(shown: LiveView, hub: pyrage.x25519.Identity) -> None:
    small = Packed(np.full((4, 6, 3), 90, np.uint8))
    assert opened(shown.picture(a_frame(small), dropped=0, now_ns=NOW), hub).shape == (ROWS, COLUMNS, 3)
