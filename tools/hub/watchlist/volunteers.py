"""The register of the blue list's volunteers: who consented, until when, and their photos. In the hub's folder, 0600.

    volunteers/<ref>/consent.json   the consent; no name
    volunteers/<ref>/photo-<n>.jpg  the face alone, re-made without metadata

1. A reference is opaque and holds a digit. Who it is stands on the consent form that `reference` names, not here.
2. A volunteer whose consent has ended or was withdrawn is deleted here, photos first.
3. Of a photo the face is kept, and nothing else of the picture: other people may be in it. A photo with two faces is
   refused.
4. A group is what the operator wrote; nothing infers one.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Sequence
from datetime import date, datetime
from pathlib import Path

import msgspec

from device.domain.sight import U8
from device.domain.time import WallTime, wall
from device.enrolment.photo_reader import PhotoFace
from device.errors import BadData, Unavailable, UsageError
from tools.hub.storage.files import write_file
from tools.hub.watchlist.photos import lone_face

FOLDER, CONSENT = "volunteers", "consent.json"
GROUP_MOST = 40
REF = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,15}")


class Consent(msgspec.Struct, frozen=True, kw_only=True):
    """One volunteer. reference: of the consent form;  until: its end;  group: optional (rule 4)."""

    ref: str
    given_on: date
    reference: str
    until: datetime
    group: str | None = None


ReadFaces = Callable[[U8], Sequence[PhotoFace]]


class VolunteerRegister:
    """The folder of one hub."""

    def __init__(self, hub: Path) -> None:
        self._folder = hub / FOLDER

    def add(self, consent: Consent, photos: Sequence[Path], now: WallTime, read: ReadFaces) -> None:
        """Register a volunteer, or replace one. UsageError for a reference or photo that cannot be used.

        read  the faces in an upright RGB photo
        """
        if not REF.fullmatch(consent.ref) or not any(letter.isdigit() for letter in consent.ref):
            raise UsageError(f"volunteer {consent.ref!r}: 1 to 16 letters, digits or hyphens, with a digit; no name")
        if wall(consent.until) <= now or consent.given_on > now.date():
            raise UsageError(f"volunteer {consent.ref}: the consent must be given, and must not have ended")
        if not consent.reference.strip() or (consent.group is not None and not 0 < len(consent.group) <= GROUP_MOST):
            text = f"give the consent's reference; a group has 1 to {GROUP_MOST} letters"
            raise UsageError(f"volunteer {consent.ref}: {text}")
        pictures = [_face_in(photo, consent.ref, read) for photo in photos]
        if not pictures:
            raise UsageError(f"volunteer {consent.ref}: give a photo")
        self.remove(consent.ref)
        for folder in (self._folder, self._folder / consent.ref):
            folder.mkdir(mode=0o700, exist_ok=True)
        for number, picture in enumerate(pictures, 1):
            write_file(self._folder / consent.ref / f"photo-{number}.jpg", picture)
        write_file(self._folder / consent.ref / CONSENT, msgspec.json.encode(consent))

    def all(self) -> dict[str, Consent]:
        """Everybody, by reference. BadData for a damaged file."""
        return {ref: self._consent(ref) for ref in sorted(self.refs())}

    def refs(self) -> frozenset[str]:
        """Everybody's reference, also where the consent cannot be read."""
        return frozenset(file.parent.name for file in self._folder.glob(f"*/{CONSENT}"))

    def photos(self, ref: str) -> list[Path]:
        """The photos of a volunteer."""
        return sorted((self._folder / ref).glob("photo-*.jpg"))

    def group(self, ref: str) -> str | None:
        """The group of a volunteer; None without one, or once the volunteer is gone or its file is damaged."""
        try:
            return self._consent(ref).group if ref in self.refs() else None
        except BadData:
            return None

    def remove(self, ref: str) -> bool:
        """Delete a volunteer (rule 2); whether there was one. Unavailable when something of it is still there."""
        folder = self._folder / ref
        if not REF.fullmatch(ref) or not folder.exists():
            return False
        shutil.rmtree(folder, ignore_errors=True)
        if folder.exists():
            raise Unavailable(f"{folder} is still there; delete it by hand")
        return True

    def end_consents(self, now: WallTime) -> tuple[str, ...]:
        """Delete everybody whose consent has ended; who that was. BadData, after all others, for damaged files."""
        over, damaged = [], []
        for ref in sorted(self.refs()):
            try:
                ended = wall(self._consent(ref).until) <= now
            except BadData as fault:
                damaged.append(str(fault))
                continue
            if ended and self.remove(ref):
                over.append(ref)
        if damaged:
            raise BadData("; ".join(damaged))
        return tuple(over)

    def _consent(self, ref: str) -> Consent:
        file = self._folder / ref / CONSENT
        try:
            return msgspec.json.decode(file.read_bytes(), type=Consent)
        except (OSError, msgspec.DecodeError) as fault:
            raise BadData(f"{file} is damaged ({fault}); remove the volunteer and add it anew") from fault


def _face_in(photo: Path, ref: str, read: ReadFaces) -> bytes:
    """The face of a photo, as it is kept (rule 3). UsageError when there is not exactly one."""
    try:
        found = lone_face(photo.read_bytes(), read) if photo.is_file() else None
    except BadData as fault:
        raise UsageError(f"volunteer {ref}: {photo}: {fault}") from fault
    if found is None:
        raise UsageError(f"volunteer {ref}: no photo can be read from {photo}")
    return found
