"""Sign the certificate request of a board that made its own key (`lfr hub sign`).

1. The request proves possession of its key (PKCS #10, RFC 2986) and names the device; nothing else of it is taken.
2. A certificate that is good for more than half its life is given out again as it is.
3. A name has one holder. A name whose key the hub made, or that another key holds, is signed for a new key only with
   `replace`: every certificate that the name got before goes on the revocation list first.
4. The device joins the site: broker access list, page, publishing.
"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path

from device.errors import BadData, RefusedByCondition, UsageError
from device.hub_api.topics import device_id
from tools.hub.pki.certificate_authority import LEAF_DAYS, open_authority, revoke_certificate
from tools.hub.site import init_hub
from tools.hub.storage.folder import HubFolder

MOST_BYTES = 20_000


def sign_request(hub: HubFolder, file: Path, *, replace: bool = False) -> tuple[str, bytes]:
    """Name and certificate (PEM) of the device in a request. Raises BadData, UsageError or RefusedByCondition."""
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    settings = hub.settings()
    try:
        request = x509.load_pem_x509_csr(file.read_bytes()[:MOST_BYTES])
        proved = request.is_signature_valid
    except ValueError as fault:
        raise BadData(f"{file} is no certificate request in PEM: bring it from the board again") from fault
    key = request.public_key()
    if not proved or not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise BadData(f"{file} is not signed by a P-256 key of its own: bring it from the board again")
    names = [str(part.value) for part in request.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    if len(names) != 1:
        raise BadData(f"{file} names {len(names)} devices; a request names one")
    name = device_id(names[0])
    if name in hub.revoked():
        raise UsageError(f"device {name!r} was revoked; flash the board again under another name")
    held = hub.root / "devices" / f"{name}.pem"
    if held.exists():
        now = x509.load_pem_x509_certificate(held.read_bytes())
        spki = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        if now.public_key().public_bytes(*spki) != key.public_bytes(*spki):
            _take_back(hub, settings.site, held, replace=replace)
        elif now.not_valid_after_utc - datetime.now(timezone.utc) > timedelta(days=LEAF_DAYS / 2):
            return name, held.read_bytes()
    pem = open_authority(hub.root, settings.site).certify_client(held.parent, name, key)
    init_hub(hub.root, site=settings.site, devices=(name,), mode=None, bind=settings.bind)
    return name, pem


def _take_back(hub: HubFolder, site: str, held: Path, *, replace: bool) -> None:
    """Rule 3."""
    if not replace:
        text = f"{held.stem} has a certificate for another key; --replace takes that one back and signs this request"
        raise RefusedByCondition("one holder", text)
    revoke_certificate(hub.root, site, held)
    held.with_suffix(".key").unlink(missing_ok=True)
