"""How a photo must be turned to stand upright: the EXIF orientation of a JPEG, PNG or WebP.

1. One reader for all formats: decoders differ in which EXIF they obey, and a face that lies on its side is enrolled
   badly without an error. The decoder is told to leave the picture as stored; `upright` turns it.
2. An EXIF block may begin with `Exif\\0\\0` in every container. In JPEG it must (CIPA DC-008, 4.7.2); in WebP and PNG
   it must not (RFC 9649, 2.7.1.5; PNG 3rd edition, 11.3.3.4), yet cameras and converters write it.
3. A TIFF is not read here: its decoder (libtiff, through OpenCV) turns it in any case.
4. A block that is damaged, or states a value outside 1..8, means: as stored.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator

import numpy as np

from device.domain.sight import U8
from device.enrolment.photo_header import jpeg_segments, tiff_entries

AS_STORED = 1
_ORIENTATION = 274
"""Tag number (TIFF 6.0, section 8)."""
_SHORT = 3
_PREFIX = b"Exif\0\0"
_APP1 = 0xE1
_PROFILE_BYTES = 1 << 20
"""More than any EXIF block holds: it is limited to 64 KiB where it comes from."""


def orientation(encoded: bytes) -> int:
    """EXIF orientation of a photo, 1 (as stored) to 8; 1 when it states none or a wrong one (rule 4)."""
    for magic, blocks in _BLOCKS:
        if encoded.startswith(magic):
            try:
                stated = (_in_tiff(block.removeprefix(_PREFIX)) for block in blocks(encoded))
                return next((value for value in stated if value is not None), AS_STORED)
            except (struct.error, IndexError, ValueError, zlib.error):
                return AS_STORED
    return AS_STORED


def upright(picture: U8, stated: int) -> U8:
    """(H, W, 3) uint8 as stored to upright, contiguous; `stated` 1..8 (CIPA DC-008, 4.6.4, figure of tag 274)."""
    if stated in (5, 6, 7, 8):
        picture = picture.transpose(1, 0, 2)
    if stated in (3, 4, 7, 8):
        picture = picture[::-1]
    if stated in (2, 3, 6, 7):
        picture = picture[:, ::-1]
    return np.ascontiguousarray(picture)


def _in_tiff(block: bytes) -> int | None:
    """The orientation in the first directory of a TIFF structure; None without a valid one."""
    for order, tag, kind, at in tiff_entries(block):
        if tag == _ORIENTATION and kind == _SHORT:
            value = int(struct.unpack_from(order + "H", block, at)[0])
            return value if 1 <= value <= 8 else None
    return None


def _of_jpeg(encoded: bytes) -> Iterator[bytes]:
    for marker, at in jpeg_segments(encoded):
        if marker == _APP1 and encoded.startswith(_PREFIX, at + 4):
            yield encoded[at + 4 : at + 2 + struct.unpack_from(">H", encoded, at + 2)[0]]


def _of_webp(encoded: bytes) -> Iterator[bytes]:
    """Chunks of a RIFF file (RFC 9649, section 2.3): name, little-endian length, content, padding to even."""
    at = 12
    while at + 8 <= len(encoded):
        length = struct.unpack_from("<I", encoded, at + 4)[0]
        if encoded[at : at + 4] == b"EXIF":
            yield encoded[at + 8 : at + 8 + length]
        at += 8 + length + (length & 1)


def _of_png(encoded: bytes) -> Iterator[bytes]:
    """The eXIf chunk, else the hexadecimal text chunk that ImageMagick and exiftool wrote before eXIf existed."""
    at, older = 8, []
    while at + 12 <= len(encoded):
        length = struct.unpack_from(">I", encoded, at)[0]
        name, content = encoded[at + 4 : at + 8], encoded[at + 8 : at + 8 + length]
        if name == b"eXIf":
            yield content
        elif name in (b"zTXt", b"tEXt") and content.startswith(
            (b"Raw profile type exif\0", b"Raw profile type APP1\0")
        ):
            older.append((name, content.partition(b"\0")[2]))
        at += 12 + length
    for name, text in older:
        # zTXt: one byte of compression method before the stream (PNG 3rd edition, 11.3.3.3).
        yield _profile(zlib.decompressobj().decompress(text[1:], _PROFILE_BYTES) if name == b"zTXt" else text)


def _profile(text: bytes) -> bytes:
    """Content of a raw profile: newline, name, newline, length, newline, hexadecimal digits in lines."""
    return bytes.fromhex(b"".join(text.split(b"\n")[3:]).decode("ascii"))


_BLOCKS: tuple[tuple[bytes, Callable[[bytes], Iterator[bytes]]], ...] = (
    (b"\xff\xd8\xff", _of_jpeg),
    (b"\x89PNG\r\n\x1a\n", _of_png),
    (b"RIFF", _of_webp),
)
