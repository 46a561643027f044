"""Picture size is read from the header as OpenCV finds it after decoding."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from device.enrolment.photo_header import header, jpeg_is_cut_off


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".bmp", ".tiff"])
@pytest.mark.parametrize("size", [(33, 57), (640, 480)])
def test_header_agrees_with_the_picture(suffix: str, size: tuple[int, int]) -> None:
    width, height = size
    noise = np.random.default_rng(0).integers(0, 255, (height, width, 3), dtype=np.uint8)
    found = header(cv2.imencode(suffix, noise)[1].tobytes())
    assert found is not None
    assert (found.width, found.height) == size


@pytest.mark.parametrize("quality", [80, 101])
def test_lossy_and_lossless_webp_are_both_known(quality: int) -> None:
    encoded = cv2.imencode(".webp", np.zeros((30, 50, 3), np.uint8), [cv2.IMWRITE_WEBP_QUALITY, quality])[1].tobytes()
    found = header(encoded)
    assert found is not None
    assert (found.kind, found.width, found.height) == ("WebP", 50, 30)


def test_a_progressive_jpeg_is_known() -> None:
    encoded = cv2.imencode(".jpg", np.zeros((30, 50, 3), np.uint8), [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])[1].tobytes()
    assert header(encoded) == ("JPEG", 50, 30)
    assert not jpeg_is_cut_off(encoded)


@given(st.sampled_from([b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"RIFF", b"BM", b"II*\0", b"MM\0*", b""]), st.binary())
def test_no_bytes_at_all_can_break_it(magic: bytes, rest: bytes) -> None:
    found = header(magic + rest)
    assert found is None or found.pixels > 0
    jpeg_is_cut_off(magic + rest)
