"""Whether a command is the hub's: its certificate, issued by the site's authority, and the signature of its key.

A certificate of the site alone makes nobody the hub: the common name must be `hub`, and it must be a client's.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from device.domain.time import WallTime
from device.errors import BadData
from device.hub_api.messages.command import Command, signed_text
from device.hub_api.topics import HUB

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

STOP = "stop"


@dataclass(frozen=True, slots=True)
class CommandCheck:
    """Checks commands to one device.

    authority  the site's authority, one certificate in PEM; read for every command: a renewed one counts at once
    """

    site: str
    device: str
    authority: Callable[[], bytes]

    def require_signed(self, command: Command, now: WallTime, *, kept: bool = False) -> None:
        """Raise BadData unless the hub of this site signed this command for this device.

        The certificate of a `stop` may have expired, or this device's clock may be wrong: it is obeyed all the same.
        kept: it was checked when it came; its certificate may have ended since.
        """
        from cryptography import x509
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import ec

        if command.device_id != self.device:
            raise BadData("it is for another device")
        try:
            certificate = x509.load_der_x509_certificate(base64.b64decode(command.certificate, validate=True))
            signature = base64.b64decode(command.sig, validate=True)
            authorities = x509.load_pem_x509_certificates(self.authority())
        except (ValueError, OSError) as fault:
            raise BadData(f"its certificate or the site's authority cannot be read: {fault}") from fault
        if len(authorities) != 1:
            raise BadData(f"the site's authority is {len(authorities)} certificates where one belongs")
        if not _issued(certificate, authorities[0]):
            raise BadData("another authority issued its certificate")
        if not _is_hub(certificate):
            raise BadData("its certificate is not the hub's")
        if (
            command.name != STOP
            and not kept
            and not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc
        ):
            raise BadData("its certificate has expired or is not valid yet")
        key = certificate.public_key()
        if not isinstance(key, ec.EllipticCurvePublicKey):
            raise BadData("its key is of another kind")
        try:
            key.verify(signature, signed_text(self.site, command), ec.ECDSA(hashes.SHA256()))
        except InvalidSignature as fault:
            raise BadData("its signature is wrong") from fault


def _issued(certificate: Certificate, authority: Certificate) -> bool:
    """Whether this authority issued the certificate (RFC 5280, 6.1.3: name, signature, the right to sign)."""
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature

    try:
        if not authority.extensions.get_extension_for_class(x509.BasicConstraints).value.ca:
            return False
        certificate.verify_directly_issued_by(authority)
    except (x509.ExtensionNotFound, ValueError, TypeError, InvalidSignature):
        return False
    return True


def _is_hub(certificate: Certificate) -> bool:
    from cryptography import x509
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    names = [name.value for name in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    try:
        usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except (x509.ExtensionNotFound, ValueError):
        return False
    return names == [HUB] and ExtendedKeyUsageOID.CLIENT_AUTH in usage
