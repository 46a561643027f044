"""Probes of alerts: encrypted to the hub at once, and held as ciphertext until the supervisor asks for them."""

from __future__ import annotations

import hashlib

from device.domain.sight import U8
from device.errors import InternalError
from device.vision.picture import encode_jpeg
from device.wire.link import Probe

JPEG_QUALITY = 88
HELD_MAX = 64  # alerts whose probe was not asked for yet; the oldest gives way


class ProbeSealer:
    """Holds the latest sealed probe of each alerted passage."""

    def __init__(self, hub_recipient: str) -> None:
        """`hub_recipient` is an age public key (age1…); InternalError if not: the supervisor has checked it."""
        import pyrage

        self._encrypt = pyrage.encrypt
        try:
            self._recipient = pyrage.x25519.Recipient.from_str(hub_recipient)
        except pyrage.RecipientError as fault:
            raise InternalError(f"the hub's recipient is no age public key: {fault}") from fault
        self._held: dict[int, tuple[int, bytes]] = {}

    def seal(self, passage: int, revision: int, shot: U8) -> None:
        """Encode (H, W, 3) uint8 RGB as JPEG and keep only its ciphertext."""
        ciphertext = self._encrypt(encode_jpeg(shot, JPEG_QUALITY), [self._recipient])
        self._held.pop(passage, None)
        self._held[passage] = (revision, ciphertext)
        while len(self._held) > HELD_MAX:
            self._held.pop(next(iter(self._held)))

    def hand_over(self, passage: int, alert_id: str) -> Probe | None:
        """The probe of a passage for its alert, once; None when there is none (left)."""
        held = self._held.pop(passage, None)
        if held is None:
            return None
        revision, ciphertext = held
        return Probe(
            alert_id=alert_id,
            passage=passage,
            revision=revision,
            ciphertext=ciphertext,
            sha256=hashlib.sha256(ciphertext).hexdigest(),
        )

    def __len__(self) -> int:
        return len(self._held)
