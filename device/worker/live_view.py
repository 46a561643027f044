"""The live view: the whole picture as the mean colours of a coarse grid, encrypted to the hub. Off unless asked for.

1. Nothing finer than the grid is made or encoded, so faces that the detector missed, and those of open alerts, are as
   coarse as everything else (device/wire/view_content.py).
2. The supervisor renews it once a second; without a renewal it ends after RENEWED_WITHIN_NS.
3. Recognition comes first: no picture while frames are dropped, or of a frame that waited longer than LATE_NS.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from device.domain.sight import Face, Frame
from device.domain.time import NS_PER_MS, NS_PER_S
from device.errors import InternalError
from device.vision.picture import cell_means, encode_jpeg
from device.wire.view_content import COLUMNS_MOST, FACES_MOST, ROWS_MOST, FaceMark, ViewContent, pack_view
from device.worker.sealed_probe import JPEG_QUALITY, ProbeSealer

COLUMNS, ROWS = COLUMNS_MOST, ROWS_MOST
EVERY_NS = NS_PER_S
RENEWED_WITHIN_NS = 3 * NS_PER_S
LATE_NS = 250 * NS_PER_MS
AFTER_A_DROP_NS = 2 * NS_PER_S


@dataclass(frozen=True, slots=True)
class Marks:
    """What a commissioning view shows: the faces of the frame, the least height that is searched for, the zone."""

    faces: Sequence[Face]
    min_face_px: float
    zone: Sequence[tuple[float, float]]


class LiveView:
    """Of one camera; used by the main thread alone. Holds no picture."""

    def __init__(self) -> None:
        self._sealer: ProbeSealer | None = None
        self._recipient: str | None = None
        self._until_ns = self._next_ns = 0
        self._dropped = 0

    def renew(self, recipient: str | None, now_ns: int) -> None:
        """Show it to this recipient from now on (rule 2), or to nobody; one that is no age key ends it."""
        if recipient != self._recipient:
            self._recipient = recipient
            try:
                self._sealer = None if recipient is None else ProbeSealer(recipient)
            except InternalError:
                self._sealer = None
        self._until_ns = now_ns + RENEWED_WITHIN_NS

    def picture(self, frame: Frame, *, dropped: int, now_ns: int, marks: Marks | None = None) -> bytes | None:
        """The ciphertext of this frame's picture, some 1 kB; None when none is due (rule 3).

        dropped  frames that the capture buffer has dropped since the start
        marks    what a commissioning view shows beside it
        """
        if dropped != self._dropped:
            self._dropped = dropped
            self._next_ns = max(self._next_ns, now_ns + AFTER_A_DROP_NS)
        if self._sealer is None or now_ns >= self._until_ns or now_ns < self._next_ns:
            return None
        if now_ns - frame.decoded > LATE_NS:
            return None
        self._next_ns = now_ns + EVERY_NS
        cells = cell_means(frame, COLUMNS, ROWS)
        content = ViewContent(
            jpeg=encode_jpeg(cells, JPEG_QUALITY),
            columns=COLUMNS,
            rows=ROWS,
            width=frame.width,
            height=frame.height,
            commissioning=marks is not None,
            min_face_px=0.0 if marks is None else marks.min_face_px,
            faces=() if marks is None else _marked(marks.faces, frame),
            zone=() if marks is None else tuple((round(x * 1000), round(y * 1000)) for x, y in marks.zone),
        )
        cells[:] = 0
        return self._sealer.encrypt(pack_view(content))


def _marked(faces: Sequence[Face], frame: Frame) -> tuple[FaceMark, ...]:
    """Faces by the cell of their centre, the largest first."""
    largest = sorted(faces, key=lambda face: -face.height_px)[:FACES_MOST]
    centres = [(face.box[:2] + face.box[2:]) / 2 / (frame.width, frame.height) for face in largest]
    return tuple(
        FaceMark(
            column=min(COLUMNS - 1, max(0, int(x * COLUMNS))),
            row=min(ROWS - 1, max(0, int(y * ROWS))),
            height_px=round(face.height_px),
        )
        for face, (x, y) in zip(largest, centres, strict=True)
    )
