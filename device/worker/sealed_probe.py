"""Encrypts the probe of a candidate to the hub's recipient, before it leaves the worker; nothing is held here."""

from __future__ import annotations

from device.domain.sight import U8
from device.errors import InternalError
from device.vision.picture import encode_jpeg

JPEG_QUALITY = 88


class ProbeSealer:
    """Seals shots to one recipient."""

    def __init__(self, hub_recipient: str) -> None:
        """`hub_recipient` is an age public key (age1…); InternalError if not: the supervisor has checked it."""
        import pyrage

        self._encrypt = pyrage.encrypt
        try:
            self._recipient = pyrage.x25519.Recipient.from_str(hub_recipient)
        except pyrage.RecipientError as fault:
            raise InternalError(f"the hub's recipient is no age public key: {fault}") from fault

    def seal(self, shot: U8) -> bytes:
        """Encode (H, W, 3) uint8 RGB as JPEG; returns its age ciphertext, some 20 kB."""
        return self.encrypt(encode_jpeg(shot, JPEG_QUALITY))

    def encrypt(self, content: bytes) -> bytes:
        """The age ciphertext of any content."""
        return bytes(self._encrypt(content, [self._recipient]))
