"""The identity that this device makes for one deployment: an age key pair in this process's memory only.

1. Made anew at each start and for each deployment; a lost one cannot be recovered, so the hub issues a new envelope.
2. `drop` is crypto-erasure: without the identity the envelope cannot be opened, and without that the watchlist,
   wherever copies are.
"""

from __future__ import annotations

from typing import Any

from device.errors import InternalError
from device.sync.refusal import SEALED, Refused

SECRET_PREFIX = "AGE-SECRET-KEY-1"
SECRET_MAX_CHARS = 200


class SessionIdentity:
    """An age X25519 key pair. Never printed, never written."""

    def __init__(self, deployment_id: str) -> None:
        import pyrage

        self.deployment_id = deployment_id
        self._key: Any = pyrage.x25519.Identity.generate()
        self.recipient: str = str(self._key.to_public())

    def __repr__(self) -> str:
        return f"SessionIdentity({self.deployment_id})"

    def open(self, envelope: bytes) -> str:
        """The content identity that the hub put into the envelope; Refused when it is not for us or holds none."""
        import pyrage

        if self._key is None:
            raise InternalError(f"the identity for deployment {self.deployment_id} has been dropped")
        try:
            plain: bytes = pyrage.decrypt(envelope, [self._key])
            content = plain.decode("ascii").strip()
        except pyrage.DecryptError as fault:
            text = (
                "the key envelope is not addressed to this device's identity, or is damaged; the hub must issue another"
            )
            raise Refused(SEALED, "foreign envelope", text) from fault
        except UnicodeDecodeError:
            content = ""
        if len(content) > SECRET_MAX_CHARS or not content.startswith(SECRET_PREFIX):
            raise Refused(SEALED, "malformed", "the key envelope holds no age identity; the hub must issue another")
        return content

    def drop(self) -> None:
        """Drop the key from memory (rule 2)."""
        self._key = None
