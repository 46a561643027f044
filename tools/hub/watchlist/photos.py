"""The photos of a list, for the hub alone: re-made without whatever a camera or an office wrote into the file."""

from __future__ import annotations

from datetime import date

import msgspec

from device.enrolment.photo_file import decode_upright
from device.errors import BadData

FORMAT = 1
LONGEST_PX = 640
QUALITY = 88


class HubEntry(msgspec.Struct, frozen=True, kw_only=True):
    """What only the hub holds of an entry. `photo` is a JPEG, upright, at most LONGEST_PX a side."""

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


def reference_photo(encoded: bytes) -> bytes | None:
    """A photo as the hub's page shows it: upright, without metadata; None when it does not decode."""
    import cv2

    rgb = decode_upright(encoded)
    if rgb is None:
        return None
    picture = cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR)
    longest = max(picture.shape[:2])
    if longest > LONGEST_PX:
        scale = LONGEST_PX / longest
        picture = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    done, made = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    return made.tobytes() if done else None


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
