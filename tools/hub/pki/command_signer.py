"""Signs the hub's commands to devices with the key of its certificate `hub.pem`."""

from __future__ import annotations

import base64
from datetime import timedelta
from pathlib import Path

import msgspec

from device.domain.finding import Mode
from device.domain.time import WallTime, rfc3339, wall
from device.errors import Unavailable
from device.hub_api.identifiers import uuid7
from device.hub_api.messages import Command, CommandName, CommandZone, signed_text

GOOD_FOR_S = 30


class CommandSigner:
    """Reads certificate and key for each command, so that renewed ones count at once."""

    def __init__(self, folder: Path, site: str, mode: Mode) -> None:
        self._folder = folder
        self._site = site
        self._mode = mode

    def command(
        self,
        device: str,
        name: CommandName,
        *,
        boot_id: str | None,
        given_by: str,
        at: WallTime,
        recipient: str | None = None,
        zone: CommandZone | None = None,
        good_for_s: float = GOOD_FOR_S,
    ) -> Command:
        """A signed command; recipient: of a `view`, which ends after good_for_s; zone: of a `zone`.

        Raises Unavailable when certificate or key cannot be read.
        """
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.hazmat.primitives.asymmetric import ec

        try:
            certificate = x509.load_pem_x509_certificate((self._folder / "hub.pem").read_bytes())
            key = serialization.load_pem_private_key((self._folder / "hub.key").read_bytes(), password=None)
        except (OSError, ValueError) as fault:
            raise Unavailable(f"hub.pem or hub.key cannot be read, so this hub commands nothing: {fault}") from fault
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise Unavailable(f"{self._folder / 'hub.key'} is no elliptic-curve key")
        unsigned = Command(
            mode=self._mode,
            command_id=uuid7(at),
            device_id=device,
            name=name,
            boot_id=boot_id,
            given_by=given_by,
            at=rfc3339(at),
            expires_at=rfc3339(wall(at + timedelta(seconds=good_for_s))),
            certificate=_base64(certificate.public_bytes(serialization.Encoding.DER)),
            sig="-",
            recipient=recipient,
            zone=zone,
        )
        signature = key.sign(signed_text(self._site, unsigned), ec.ECDSA(hashes.SHA256()))
        return msgspec.structs.replace(unsigned, sig=_base64(signature))


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")
