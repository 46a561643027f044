"""Live views at the hub: one key and the last picture a camera, in memory only.

1. Each view has an age key of its own, made here and named in its signed command. It is never written; with it, or with
   this program, every picture of the view becomes unreadable.
2. The last picture of a camera replaces the one before, and is dropped KEPT_S after it came (when this hub's clock is
   set back, too), or with its view.
3. A picture that is finer than a view's cells, or not as large as it says, is refused: no device shows a face here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from device.domain.time import WallTime, rfc3339, wall
from device.errors import BadData
from device.wire.view_content import ViewContent, unpack_view

SHOWN_S = 300
KEPT_S = 10.0
SEALED_MOST_BYTES = 4_000
CAMERAS_MOST = 8
JPEG_BEGINS = b"\xff\xd8"
FRAME_HEADERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


@dataclass(slots=True)
class _View:
    """One device's view."""

    identity: Any = field(repr=False)
    until: WallTime
    given_by: str | None = None
    pictures: dict[str, tuple[int, ViewContent, WallTime]] = field(default_factory=dict, repr=False)
    count: int = 0


class LiveViews:
    """By device; on the console's loop."""

    def __init__(self) -> None:
        self._views: dict[str, _View] = {}

    def begin(self, device: str, now: WallTime, given_by: str | None = None) -> str:
        """A view of this device for SHOWN_S, instead of one before: its recipient, for the command of that officer."""
        import pyrage

        identity = pyrage.x25519.Identity.generate()
        self._views[device] = _View(identity, wall(now + timedelta(seconds=SHOWN_S)), given_by)
        return str(identity.to_public())

    def end(self, device: str) -> None:
        """Drop key and pictures."""
        self._views.pop(device, None)

    def take(self, device: str, camera: str, sealed: bytes, now: WallTime) -> None:
        """Open a picture and keep it in memory; one of no view that is shown is dropped. BadData: rule 3."""
        import pyrage

        self.tick(now)
        view = self._views.get(device)
        if view is None:
            return
        if len(sealed) > SEALED_MOST_BYTES or (camera not in view.pictures and len(view.pictures) >= CAMERAS_MOST):
            raise BadData("a picture of the live view is too large, or of too many cameras")
        try:
            content = unpack_view(bytes(pyrage.decrypt(sealed, [view.identity])))
        except pyrage.DecryptError:
            return  # of the view before
        if _size(content.jpeg) != (content.columns, content.rows):
            raise BadData("a picture of the live view is no JPEG of its cells")
        view.count += 1
        view.pictures[camera] = (view.count, content, now)

    def tick(self, now: WallTime) -> bool:
        """Drop what is over (rule 2); whether anything was."""
        over = [device for device, view in self._views.items() if now >= view.until]
        for device in over:
            self.end(device)
        stale = False
        for view in self._views.values():
            for camera in [c for c, (_, _, at) in view.pictures.items() if abs((now - at).total_seconds()) > KEPT_S]:
                del view.pictures[camera]
                stale = True
        return bool(over) or stale

    def picture(self, device: str, camera: str) -> bytes | None:
        """The last picture, JPEG."""
        view = self._views.get(device)
        found = None if view is None else view.pictures.get(camera)
        return None if found is None else found[1].jpeg

    def shown(self, device: str) -> dict[str, Any] | None:
        """For the page: until when, who asked, and the number of each camera's last picture."""
        view = self._views.get(device)
        if view is None:
            return None
        cameras = {camera: _shown(number, content) for camera, (number, content, _) in view.pictures.items()}
        return {"until": rfc3339(view.until), "given_by": view.given_by, "cameras": cameras}


def _size(jpeg: bytes) -> tuple[int, int] | None:
    """Width and height of a JPEG, as its frame header states them (ITU-T T.81, B.2.2); None when there is none."""
    at = len(JPEG_BEGINS)
    while jpeg.startswith(JPEG_BEGINS) and jpeg[at : at + 1] == b"\xff" and at + 9 <= len(jpeg):
        if jpeg[at + 1] in FRAME_HEADERS:
            return int.from_bytes(jpeg[at + 7 : at + 9], "big"), int.from_bytes(jpeg[at + 5 : at + 7], "big")
        at += 2 + int.from_bytes(jpeg[at + 2 : at + 4], "big")
    return None


def _shown(number: int, content: ViewContent) -> dict[str, Any]:
    """One picture for the page, without its pixels."""
    return {
        "version": number,
        "columns": content.columns,
        "rows": content.rows,
        "width": content.width,
        "height": content.height,
        "commissioning": content.commissioning,
        "min_face_px": content.min_face_px,
        "faces": [[face.column, face.row, face.height_px] for face in content.faces],
        "zone": [list(corner) for corner in content.zone],
    }
