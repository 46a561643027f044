"""The content of one picture of the live view or the commissioning view, before it is encrypted and after it is opened.

It crosses the link and the broker as ciphertext only; worker and hub import it, the supervisor does not.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from device.errors import BadData

Cell = Annotated[int, msgspec.Meta(ge=0, le=255)]
Pixels = Annotated[int, msgspec.Meta(ge=0, le=20_000)]
FACES_MOST = 50
COLUMNS_MOST, ROWS_MOST = 12, 7
"""No picture is finer: chosen by measurement (tools.dev.proof.pixelation.py, decision 0230)."""


class FaceMark(msgspec.Struct, frozen=True, kw_only=True):
    """A detected face: the cell of its centre, and the height of its box in pixels of the frame."""

    column: Cell
    row: Cell
    height_px: Pixels


class ViewContent(msgspec.Struct, frozen=True, kw_only=True):
    """jpeg: mean colours of the cells;  columns, rows: their number;  faces, min_face_px: of a commissioning view only.

    zone  corners in thousandths of width and height, as this worker searches
    """

    jpeg: Annotated[bytes, msgspec.Meta(max_length=3_000)]
    columns: Annotated[int, msgspec.Meta(ge=1, le=COLUMNS_MOST)]
    rows: Annotated[int, msgspec.Meta(ge=1, le=ROWS_MOST)]
    width: Pixels
    height: Pixels
    commissioning: bool = False
    min_face_px: float = 0.0
    faces: Annotated[tuple[FaceMark, ...], msgspec.Meta(max_length=FACES_MOST)] = ()
    zone: Annotated[tuple[tuple[int, int], ...], msgspec.Meta(max_length=64)] = ()


_decoder = msgspec.msgpack.Decoder(ViewContent)


def pack_view(content: ViewContent) -> bytes:
    """As MessagePack."""
    return msgspec.msgpack.encode(content)


def unpack_view(body: bytes) -> ViewContent:
    """The content of opened bytes; BadData when they are none."""
    try:
        return _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as fault:
        raise BadData(f"no picture of a view: {fault}") from fault
