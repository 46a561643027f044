"""Opening probes: age ciphertext to the hub, a JPEG in memory, nothing on disk."""

from __future__ import annotations

import hashlib

from device.errors import BadData
from tools.hub.storage.deployment_keys import DeploymentKeys

MAX_BYTES = 1_000_000
JPEG_START = b"\xff\xd8\xff"


class ProbeOpener:
    """Opens probes with the identities that exist now: after its deployment has ended, a probe stays closed."""

    def __init__(self, keys: DeploymentKeys) -> None:
        self._keys = keys

    def open(self, ciphertext: bytes) -> bytes:
        """The JPEG inside; BadData when it was not encrypted to an existing key of this hub or is no JPEG."""
        import pyrage

        if len(ciphertext) > MAX_BYTES:
            raise BadData(f"probe of {len(ciphertext)} bytes, at most {MAX_BYTES}")
        try:
            identities = [pyrage.x25519.Identity.from_str(secret) for secret in self._keys.secrets()]
            if not identities:
                raise BadData("probe of a deployment that has ended here: no key of the hub is left to open it")
            picture = pyrage.decrypt(ciphertext, identities)
        except (pyrage.DecryptError, pyrage.IdentityError, ValueError, OSError) as fault:
            raise BadData(
                f"probe is for another hub, or of a deployment that has ended here (its key is gone): {fault}"
            ) from fault
        if not picture.startswith(JPEG_START):
            raise BadData("probe holds no JPEG")
        return bytes(picture)


def digest(ciphertext: bytes) -> str:
    """What an alert's `probe.sha256` refers to: the SHA-256 of the ciphertext."""
    return hashlib.sha256(ciphertext).hexdigest()
