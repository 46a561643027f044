"""Requests and certificates on their way over a stick: board → `requests/` → hub → `certificates/` → board.

The stick is trusted with nothing: a certificate counts only if it is of this board's own key and name, and signed by
the authority that the card was flashed with.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from device.durable import replace_file
from device.errors import BadData, Unavailable
from tools.flash.first_boot import CERTIFICATE, KEY, REQUEST, flash_facts
from tools.flash.manifest import EXCHANGE
from tools.flash.root import Refusal, Root

AUTHORITY = "/etc/lfr/pki/ca.pem"
REQUESTS, CERTIFICATES = EXCHANGE


def put_request(root: Root, stick: Path) -> Path:
    """Copy this board's request to the stick; where it lies there."""
    device = flash_facts(root)["device"]
    try:
        content = root.read(REQUEST)
    except FileNotFoundError as fault:
        raise Unavailable(f"{REQUEST} is not there yet: systemctl status lfr-first-boot says why") from fault
    place = stick / REQUESTS / f"{device}.csr"
    with root.writing(place):
        place.parent.mkdir(exist_ok=True)
        replace_file(place, content, mode=0o644)
    return place


def take_certificate(root: Root, stick: Path, now: datetime) -> str:
    """Install this board's certificate from the stick; how long it is good. Raises Refusal or BadData."""
    from cryptography import x509

    facts = flash_facts(root)
    file = stick / CERTIFICATES / f"{facts['device']}.pem"
    try:
        content = file.read_bytes()
    except FileNotFoundError as fault:
        raise Unavailable(f"{file} is not there: sign the request at the hub first (lfr hub sign)") from fault
    try:
        certificate = x509.load_pem_x509_certificate(content)
        authority = x509.load_pem_x509_certificate(root.read(AUTHORITY))
    except ValueError as fault:
        raise BadData(f"{file} is no certificate in PEM: copy it again from the hub") from fault
    _check(root, certificate, authority, facts["device"])
    clock = max(now, datetime.fromisoformat(facts["made"]))  # a board without a battery says 1970
    if certificate.not_valid_after_utc < clock:
        raise Refusal("certificate", f"{file} ended on {certificate.not_valid_after_utc:%Y-%m-%d}: sign it again")
    root.write(CERTIFICATE, content, mode=0o644)
    return f"{certificate.not_valid_after_utc:%Y-%m-%d}"


def _check(root: Root, certificate: object, authority: object, device: str) -> None:
    """Name, key and signature of a certificate."""
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import serialization
    from cryptography.x509.oid import NameOID

    if not isinstance(certificate, x509.Certificate) or not isinstance(authority, x509.Certificate):
        raise TypeError("certificates are needed")
    names = [str(part.value) for part in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    if names != [device]:
        raise Refusal("certificate", f"it is for {', '.join(names) or 'nobody'}, this board is {device}")
    own = serialization.load_pem_private_key(root.read(KEY), password=None).public_key()
    spki = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    if certificate.public_key().public_bytes(*spki) != own.public_bytes(*spki):
        raise Refusal("certificate", "it is for another key than this board's: bring this board's request to the hub")
    try:
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature) as fault:
        raise Refusal("certificate", "it is not signed by the hub whose kit this board was flashed with") from fault
