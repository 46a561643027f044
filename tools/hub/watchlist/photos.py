"""The photos of a list, for the hub alone: re-made without whatever a camera or an office wrote into the file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date

import msgspec
import numpy as np

from device.domain.sight import U8
from device.enrolment.photo_file import decode_upright
from device.enrolment.photo_reader import PhotoFace
from device.errors import BadData
from device.vision.probe import CONTEXT

FORMAT = 1
LONGEST_PX = 640
SMALLEST_PX = 160  # of a face that is cut out, as a probe's
QUALITY = 88


class HubEntry(msgspec.Struct, frozen=True, kw_only=True):
    """What only the hub holds of an entry. `photo` is a JPEG of the face, at most LONGEST_PX a side."""

    ref: str
    category: str
    response_code: str
    image_source: str
    image_date: date | None
    under_18: bool
    rationale: str
    photo: bytes
    label: str = ""
    """How the operator's card calls it; empty: by its reference."""
    look_alike: str = ""
    """Who resembles the person, as the list says; empty: nobody known."""


class HubPhotos(msgspec.Struct, frozen=True, kw_only=True):
    """The second payload of a list."""

    format: int
    watchlist_id: str
    deployment_id: str
    entries: tuple[HubEntry, ...]


def reference_photo(encoded: bytes, find: Callable[[U8], PhotoFace | None] = lambda _: None) -> bytes | None:
    """A photo as the hub's page shows it: upright, without metadata; None when it does not decode.

    find  the person's face in the upright RGB photo: it is cut out as a probe is, so that both show the face at one
          scale, and level by its eyes; without one the whole photo is shown
    """
    rgb = decode_upright(encoded)
    if rgb is None:
        return None
    face = find(rgb)
    return _jpeg(_whole(rgb) if face is None else _face_of(rgb, face))


def lone_face(encoded: bytes, read: Callable[[U8], Sequence[PhotoFace]]) -> bytes | None:
    """A photo cut to the face of the one person in it, in its own pixels; None when it does not decode.

    read  the faces in an upright RGB photo. BadData when there is not exactly one
    """
    rgb = decode_upright(encoded)
    if rgb is None:
        return None
    faces = read(rgb)
    if len(faces) != 1:
        raise BadData(f"it shows {len(faces)} faces; give one of the person alone")
    (face,) = faces
    centre, half = (face.box[:2] + face.box[2:]) / 2, CONTEXT * max(face.height_px, 1.0) / 2
    left, top = np.maximum(np.floor(centre - half), 0).astype(int)
    right, bottom = np.ceil(centre + half).astype(int)
    return _jpeg(_whole(rgb[top:bottom, left:right]))


def chosen_face(faces: Sequence[PhotoFace], size: tuple[int, int], at: tuple[float, float] | None) -> PhotoFace | None:
    """The face nearest to `at` (fractions of width and height), without one the most central; None of no faces."""
    wanted = np.array(at or (0.5, 0.5)) * size

    def distance(face: PhotoFace) -> float:
        return float(np.hypot(*((face.box[:2] + face.box[2:]) / 2 - wanted)))

    return min(faces, key=distance, default=None)


def _jpeg(rgb: U8) -> bytes | None:
    import cv2

    done, made = cv2.imencode(".jpg", rgb[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    return made.tobytes() if done else None


def _whole(rgb: U8) -> U8:
    import cv2

    longest = max(rgb.shape[:2])
    if longest <= LONGEST_PX:
        return rgb
    scale = LONGEST_PX / longest
    return np.asarray(cv2.resize(rgb, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)


def _face_of(rgb: U8, face: PhotoFace) -> U8:
    """The square around a face, CONTEXT times as high as it, level; beyond the photo it is grey."""
    import cv2

    span = CONTEXT * max(face.height_px, 1.0)
    side = int(min(LONGEST_PX, max(SMALLEST_PX, round(span))))
    right_eye, left_eye = face.landmarks[0], face.landmarks[1]
    across = left_eye - right_eye
    angle = float(np.degrees(np.arctan2(across[1], across[0]))) if float(np.hypot(*across)) > 1 else 0.0
    centre = (face.box[:2] + face.box[2:]) / 2
    matrix = cv2.getRotationMatrix2D((float(centre[0]), float(centre[1])), angle, side / span)
    matrix[:, 2] += side / 2 - centre
    cut = cv2.warpAffine(rgb, matrix, (side, side), flags=cv2.INTER_AREA, borderValue=(110, 110, 110))
    return np.asarray(cut, np.uint8)


def seal_for_hub(content: bytes, recipient: str) -> bytes:
    """Encrypt to the hub. BadData when the recipient is none."""
    import pyrage

    try:
        key = pyrage.x25519.Recipient.from_str(recipient)
    except pyrage.RecipientError as fault:
        raise BadData(f"not the age recipient of a hub: {fault}") from fault
    sealed: bytes = pyrage.encrypt(content, [key])
    return sealed


def open_at_hub(sealed: bytes, identity: str, what: str) -> bytes:
    """Decrypt with the hub's identity. BadData when it does not open."""
    import pyrage

    try:
        plain: bytes = pyrage.decrypt(sealed, [pyrage.x25519.Identity.from_str(identity.strip())])
    except (pyrage.DecryptError, pyrage.IdentityError) as fault:
        raise BadData(f"{what} does not open at this hub: {fault}; it was built for another hub, or changed") from fault
    return plain


def read_photos(plain: bytes) -> HubPhotos:
    """The photos out of their decrypted bytes; BadData when they are none."""
    try:
        found = msgspec.msgpack.decode(plain, type=HubPhotos)
    except msgspec.DecodeError as fault:
        raise BadData(f"the photos' file is not of format {FORMAT}: {fault}") from fault
    if found.format != FORMAT:
        raise BadData(f"photos of format {found.format} are not known here (this version reads {FORMAT})")
    return found
