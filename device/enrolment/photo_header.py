"""Format and size of a picture file from its header, before anything is decoded."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from typing import NamedTuple


class PhotoHeader(NamedTuple):
    """Format by content, and size in pixels as stored (before any turning)."""

    kind: str
    width: int
    height: int

    @property
    def pixels(self) -> int:
        return self.width * self.height


def header(encoded: bytes) -> PhotoHeader | None:
    """Header of a JPEG, PNG, WebP, BMP or TIFF; None for anything else or one that is cut off in its header."""
    for magic, kind, size in _KINDS:
        if encoded.startswith(magic):
            try:
                found = size(encoded)
            except (struct.error, IndexError, StopIteration):
                return None
            return PhotoHeader(kind, *found) if found and found[0] > 0 and found[1] > 0 else None
    return None


def other_kind(encoded: bytes) -> str | None:
    """HEIC, AVIF or GIF: common formats that are not read here; None for anything else."""
    if encoded.startswith((b"GIF87a", b"GIF89a")):
        return "GIF"
    # ISO/IEC 14496-12, section 4.3: the file type box comes first and begins with the major brand.
    return _OTHER_BRANDS.get(encoded[8:12]) if encoded[4:8] == b"ftyp" else None


def jpeg_is_cut_off(encoded: bytes) -> bool:
    """True when the picture data has no end marker: a decoder would fill the rest with grey."""
    starts = [at for marker, at in jpeg_segments(encoded) if marker == _SOS]
    return not starts or encoded.find(b"\xff\xd9", starts[0]) < 0


_OTHER_BRANDS = {
    **dict.fromkeys((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"), "HEIC"),
    **dict.fromkeys((b"avif", b"avis"), "AVIF"),
}
"""ISO/IEC 23008-12, annex B; AVIF 1.1, section 6."""
_SOS = 0xDA
_SIZED = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_NO_LENGTH = frozenset((0x01, *range(0xD0, 0xD9)))


def jpeg_segments(encoded: bytes) -> Iterator[tuple[int, int]]:
    """Marker and offset of each segment up to the first scan (ITU-T T.81, annex B)."""
    at = 2
    while at + 4 <= len(encoded):
        if encoded[at] != 0xFF:
            return
        marker = encoded[at + 1]
        if marker == 0xFF or marker in _NO_LENGTH:
            at += 1 if marker == 0xFF else 2
            continue
        yield marker, at
        if marker == _SOS:
            return
        at += 2 + struct.unpack_from(">H", encoded, at + 2)[0]


def _jpeg(encoded: bytes) -> tuple[int, int]:
    at = next(at for marker, at in jpeg_segments(encoded) if marker in _SIZED)
    height, width = struct.unpack_from(">HH", encoded, at + 5)
    return width, height


def _png(encoded: bytes) -> tuple[int, int]:
    width, height = struct.unpack_from(">II", encoded, 16)
    return width, height


def _bmp(encoded: bytes) -> tuple[int, int]:
    width, height = struct.unpack_from("<ii", encoded, 18)
    return abs(width), abs(height)


def _webp(encoded: bytes) -> tuple[int, int] | None:
    """RFC 9649, sections 2.5 to 2.7."""
    chunk = encoded[12:16]
    if encoded[8:12] != b"WEBP":
        return None
    if chunk == b"VP8X":
        return int.from_bytes(encoded[24:27], "little") + 1, int.from_bytes(encoded[27:30], "little") + 1
    if chunk == b"VP8L":
        bits = struct.unpack_from("<I", encoded, 21)[0]
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    width, height = struct.unpack_from("<HH", encoded, 26)
    return width & 0x3FFF, height & 0x3FFF


def _tiff(encoded: bytes) -> tuple[int, int] | None:
    """First directory, tags ImageWidth (256) and ImageLength (257) (TIFF 6.0, section 2)."""
    size: dict[int, int] = {}
    for order, tag, kind, at in tiff_entries(encoded):
        if tag in (256, 257):
            size[tag] = struct.unpack_from(order + ("H" if kind == 3 else "I"), encoded, at)[0]
    return (size[256], size[257]) if len(size) == 2 else None


def tiff_entries(structure: bytes) -> Iterator[tuple[str, int, int, int]]:
    """Byte order of struct, tag, type and offset of the value field, for each entry of the first directory.

    Raises struct.error when the structure is cut off; yields nothing when it is no TIFF structure.
    """
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(structure[:4])
    if order is None:
        return
    at = struct.unpack_from(order + "I", structure, 4)[0]
    for entry in range(struct.unpack_from(order + "H", structure, at)[0]):
        tag, kind = struct.unpack_from(order + "HH", structure, at + 2 + 12 * entry)
        yield order, tag, kind, at + 10 + 12 * entry


_KINDS: tuple[tuple[bytes, str, Callable[[bytes], tuple[int, int] | None]], ...] = (
    (b"\xff\xd8\xff", "JPEG", _jpeg),
    (b"\x89PNG\r\n\x1a\n", "PNG", _png),
    (b"RIFF", "WebP", _webp),
    (b"BM", "BMP", _bmp),
    (b"II*\0", "TIFF", _tiff),
    (b"MM\0*", "TIFF", _tiff),
)
