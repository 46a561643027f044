"""A photo stands upright in every format, wherever its EXIF block lies and whichever orientation it states."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from device.domain.sight import U8
from device.enrolment.photo_file import decode_upright, outcome_of
from device.enrolment.photo_orientation import orientation, upright
from device.enrolment.photo_reader import PhotoReader

PREFIX = b"Exif\0\0"
STORED_FROM_UPRIGHT: dict[int, Callable[[U8], U8]] = {
    1: lambda p: p,
    2: lambda p: p[:, ::-1],
    3: lambda p: p[::-1, ::-1],
    4: lambda p: p[::-1],
    5: lambda p: p.transpose(1, 0, 2),
    6: lambda p: np.rot90(p),
    7: lambda p: p[::-1, ::-1].transpose(1, 0, 2),
    8: lambda p: np.rot90(p, -1),
}
"""How a camera that states this orientation has stored an upright picture: 6 is turned 90 degrees clockwise to view."""


def tiff(value: int, order: str = ">", kind: int = 3) -> bytes:
    """A TIFF structure of one directory with a width and an orientation (TIFF 6.0, section 2)."""
    head = b"MM\0*" if order == ">" else b"II*\0"
    entries = struct.pack(order + "HHIHH", 256, 3, 1, 90, 0) + struct.pack(order + "HHIHH", 274, kind, 1, value, 0)
    return head + struct.pack(order + "IH", 8, 2) + entries + bytes(4)


def corners() -> U8:
    """(64, 96, 3) uint8 RGB: every corner another colour, so that no two orientations look alike."""
    shown = np.full((64, 96, 3), 110, np.uint8)
    shown[:24, :32], shown[:24, -32:], shown[-24:, :32] = (230, 30, 30), (30, 230, 30), (30, 30, 230)
    return shown


def encoded_as(suffix: str, picture: U8) -> bytes:
    how = [cv2.IMWRITE_WEBP_QUALITY, 101] if suffix == ".webp" else []
    return cv2.imencode(suffix, np.ascontiguousarray(picture[:, :, ::-1]), how)[1].tobytes()


def jpeg(picture: U8, block: bytes) -> bytes:
    encoded = encoded_as(".jpg", picture)
    return encoded[:2] + b"\xff\xe1" + struct.pack(">H", len(block) + 2) + block + encoded[2:]


def webp(picture: U8, block: bytes) -> bytes:
    """The picture's own chunk after a VP8X header that announces EXIF (RFC 9649, section 2.7)."""
    height, width = picture.shape[:2]
    size = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    inside = b"WEBP" + b"VP8X" + struct.pack("<I", 10) + bytes([8, 0, 0, 0]) + size
    inside += encoded_as(".webp", picture)[12:]
    inside += b"EXIF" + struct.pack("<I", len(block)) + block + b"\0" * (len(block) & 1)
    whole: bytes = b"RIFF" + struct.pack("<I", len(inside)) + inside
    return whole


def png(picture: U8, name: bytes, content: bytes) -> bytes:
    encoded = encoded_as(".png", picture)
    chunk = struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
    return encoded[:33] + chunk + encoded[33:]


def raw_profile(block: bytes) -> bytes:
    """As ImageMagick writes EXIF into a PNG text chunk."""
    return b"\nexif\n%8d\n" % len(block) + block.hex().encode() + b"\n"


def tiff_file(picture: U8, stated: int) -> bytes:
    how = [cv2.IMWRITE_TIFF_COMPRESSION, 1]
    encoded = bytearray(cv2.imencode(".tiff", np.ascontiguousarray(picture[:, :, ::-1]), how)[1].tobytes())
    at = struct.unpack_from("<I", encoded, 4)[0]
    tags = [encoded[at + 2 + 12 * n : at + 14 + 12 * n] for n in range(struct.unpack_from("<H", encoded, at)[0])]
    tags = [tag for tag in tags if struct.unpack_from("<H", tag)[0] != 274]
    tags.append(bytearray(struct.pack("<HHIHH", 274, 3, 1, stated, 0)))
    tags.sort(key=lambda tag: struct.unpack_from("<H", tag)[0])
    struct.pack_into("<I", encoded, 4, len(encoded))
    return bytes(encoded) + struct.pack("<H", len(tags)) + b"".join(tags) + bytes(4)


MAKERS: dict[str, Callable[[U8, int], bytes]] = {
    "JPEG": lambda p, o: jpeg(p, PREFIX + tiff(o)),
    "JPEG, little-endian": lambda p, o: jpeg(p, PREFIX + tiff(o, "<")),
    "WebP": lambda p, o: webp(p, tiff(o)),
    "WebP, prefixed": lambda p, o: webp(p, PREFIX + tiff(o)),
    "PNG": lambda p, o: png(p, b"eXIf", tiff(o)),
    "PNG, prefixed": lambda p, o: png(p, b"eXIf", PREFIX + tiff(o)),
    "PNG, raw profile": lambda p, o: png(p, b"tEXt", b"Raw profile type exif\0" + raw_profile(PREFIX + tiff(o))),
    "PNG, packed raw profile": lambda p, o: png(
        p, b"zTXt", b"Raw profile type APP1\0\0" + zlib.compress(raw_profile(PREFIX + tiff(o)))
    ),
    "TIFF": tiff_file,
}


@pytest.mark.parametrize("stated", range(1, 9))
@pytest.mark.parametrize("made", MAKERS)
def test_every_orientation_of_every_format_comes_out_upright(made: str, stated: int) -> None:
    stored = np.ascontiguousarray(STORED_FROM_UPRIGHT[stated](corners()))
    shown = decode_upright(MAKERS[made](stored, stated))
    assert shown is not None
    assert shown.shape == corners().shape
    assert np.abs(shown.astype(int) - corners()).mean() < 4


@pytest.mark.parametrize("stated", range(1, 9))
def test_upright_undoes_how_the_camera_stored_it(stated: int) -> None:
    assert np.array_equal(upright(STORED_FROM_UPRIGHT[stated](corners()), stated), corners())


def test_a_photo_decoded_at_a_fraction_of_its_size_is_turned_too() -> None:
    large = cv2.resize(corners(), (960, 640), interpolation=cv2.INTER_NEAREST)
    shown = decode_upright(jpeg(np.ascontiguousarray(np.rot90(large)), PREFIX + tiff(6)), 4)
    assert shown is not None
    assert shown.shape == (160, 240, 3)
    assert shown[10, 10, 0] > 200 > shown[10, 10, 1] + 100


def test_the_first_valid_block_decides_and_a_damaged_one_means_as_stored() -> None:
    picture = corners()
    assert orientation(jpeg(picture, PREFIX + tiff(9))) == 1
    assert orientation(jpeg(picture, PREFIX + tiff(6, kind=4))) == 1
    assert orientation(webp(picture, PREFIX + tiff(6)[:15])) == 1
    assert orientation(png(picture, b"zTXt", b"Raw profile type exif\0\0no stream")) == 1
    assert orientation(encoded_as(".webp", picture)) == 1
    two = jpeg(picture, PREFIX + tiff(8))
    assert orientation(two[:2] + b"\xff\xe1\0\x0ahttp://x" + two[2:]) == 8


def test_a_packed_profile_that_unpacks_to_gigabytes_is_not_unpacked() -> None:
    bomb = zlib.compress(bytes(64 << 20))
    assert orientation(png(corners(), b"zTXt", b"Raw profile type exif\0\0" + bomb)) == 1


@given(st.sampled_from([b"\xff\xd8\xff\xe1", b"\x89PNG\r\n\x1a\n", b"RIFF\0\0\0\0WEBPEXIF", b"II*\0"]), st.binary())
def test_no_bytes_at_all_can_break_it(magic: bytes, rest: bytes) -> None:
    assert 1 <= orientation(magic + rest) <= 8
    assert 1 <= orientation(magic + PREFIX + tiff(6) + rest) <= 8


def test_formats_of_telephones_that_are_not_read_are_named(reader: PhotoReader) -> None:
    for brand, name in ((b"heic", "HEIC"), (b"mif1", "HEIC"), (b"avif", "AVIF")):
        refused = outcome_of(b"\0\0\0\x18ftyp" + brand + bytes(200), reader).rejected
        assert refused == f"{name} is not a picture format that is read here: save it as JPEG or PNG"
    assert (
        outcome_of(b"GIF89a" + bytes(50), reader).rejected
        == "GIF is not a picture format that is read here: save it as JPEG or PNG"
    )
