"""Opening probes: age ciphertext to the hub, a JPEG in memory, nothing on disk."""

from __future__ import annotations

import hashlib
from pathlib import Path

from device.errors import BadData, Unavailable

MAX_BYTES = 1_000_000
JPEG_START = b"\xff\xd8\xff"


class ProbeOpener:
    """Holds the hub's age identity for as long as the process lives."""

    def __init__(self, identity_file: Path) -> None:
        """Read the identity; Unavailable when it is missing or none."""
        import pyrage

        try:
            self._identity = pyrage.x25519.Identity.from_str(identity_file.read_text().strip())
        except (OSError, ValueError, pyrage.IdentityError) as fault:
            raise Unavailable(
                f"the hub's age identity {identity_file}: {fault}; make one with `lfr hub init`"
            ) from fault

    def open(self, ciphertext: bytes) -> bytes:
        """The JPEG inside; BadData when it was not encrypted to this hub or is no JPEG."""
        import pyrage

        if len(ciphertext) > MAX_BYTES:
            raise BadData(f"probe of {len(ciphertext)} bytes, at most {MAX_BYTES}")
        try:
            picture = pyrage.decrypt(ciphertext, [self._identity])
        except (pyrage.DecryptError, ValueError, OSError) as fault:
            raise BadData(f"probe is not for this hub: {fault}") from fault
        if not picture.startswith(JPEG_START):
            raise BadData("probe holds no JPEG")
        return bytes(picture)


def digest(ciphertext: bytes) -> str:
    """What an alert's `probe.sha256` refers to: the SHA-256 of the ciphertext."""
    return hashlib.sha256(ciphertext).hexdigest()
