"""Signs a report's file with the key of the hub's certificate, and verifies one.

1. `FILE.sig` lies beside FILE: its SHA-256, the time, the heads of the audit logs that were counted, the hub's
   certificate and its authority, and an ECDSA signature (P-256, SHA-256) over all of these, prefixed by SIGNED_AS.
2. A public report names no devices: its `FILE.sig` has the SHA-256 of the heads instead of the heads.
3. Verification ends at the first thing that is wrong, with BadData that says what. Without the site's `ca.pem` from
   elsewhere it shows that FILE was not changed, but not whose hub signed it; the fingerprint is printed.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from device.audit.head_file import read_heads
from device.audit.rows import Head, genuine
from device.audit.verify import verify
from device.domain.time import WallTime, rfc3339
from device.errors import BadData, Unavailable
from tools.hub.report.audit_heads import FOLDER
from tools.hub.report.audit_heads import SUFFIX as HEADS
from tools.hub.report.blue_log import require_own_log
from tools.hub.storage.files import PUBLIC, Batch
from tools.hub.storage.hub_log import OWN

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.x509 import Certificate

FORMAT = "lfr-report-1"
SIGNED_AS = b"uk.lfr.report.v1\n"
SUFFIX = ".sig"


class Signature(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The content of `FILE.sig`. certificate, authority: DER in base64; heads: by device, none in a public report."""

    format: str
    sha256: str
    at: str
    heads: dict[str, Head]
    heads_sha256: str
    certificate: str
    authority: str
    sig: str = ""


@dataclass(frozen=True, slots=True)
class Verified:
    """A signature that holds. notes: what it does not show."""

    at: str
    signed_by: str
    heads: dict[str, Head]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ReportSigner:
    """The hub's certificate and key, read from its folder."""

    certificate: Certificate
    authority: Certificate
    key: EllipticCurvePrivateKey

    @classmethod
    def of_hub(cls, hub: Path) -> ReportSigner:
        """Raises Unavailable when one of the files cannot be read."""
        from cryptography import x509
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import ec

        try:
            certificate = x509.load_pem_x509_certificate((hub / "hub.pem").read_bytes())
            authority = x509.load_pem_x509_certificate((hub / "ca.pem").read_bytes())
            key = serialization.load_pem_private_key((hub / "hub.key").read_bytes(), password=None)
        except (OSError, ValueError) as fault:
            raise Unavailable(f"hub.pem, hub.key or ca.pem of {hub} cannot be read: {fault}") from fault
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise Unavailable(f"{hub / 'hub.key'} is no elliptic-curve key")
        return cls(certificate, authority, key)

    def write(self, file: Path, content: bytes, heads: Mapping[str, Head], at: WallTime, *, public: bool) -> None:
        """Write FILE and `FILE.sig` (rules 1 and 2)."""
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import ec

        unsigned = Signature(
            format=FORMAT,
            sha256=hashlib.sha256(content).hexdigest(),
            at=rfc3339(at),
            heads={} if public else dict(heads),
            heads_sha256=digest_of(heads),
            certificate=_der(self.certificate),
            authority=_der(self.authority),
        )
        sig = self.key.sign(_signed_text(unsigned), ec.ECDSA(hashes.SHA256()))
        signed = msgspec.structs.replace(unsigned, sig=base64.b64encode(sig).decode())
        with Batch() as files:
            files.put(file, content, mode=PUBLIC)
            files.put(_beside(file), msgspec.json.format(msgspec.json.encode(signed), indent=1), mode=PUBLIC)


def digest_of(heads: Mapping[str, Head]) -> str:
    """SHA-256 of the heads, by device in alphabetical order, as JSON."""
    return hashlib.sha256(msgspec.json.encode(dict(sorted(heads.items())))).hexdigest()


def verify_report(
    file: Path, ca: Path | None = None, hub: Path | None = None, logs: Mapping[str, Path] | None = None
) -> Verified:
    """Check FILE against `FILE.sig` (rule 3).

    ca    the site's `ca.pem`, from elsewhere
    hub   a hub's folder: its `ca.pem`, and the heads that it kept must be those of the report
    logs  a device's audit log: it must verify up to the report's head
    """
    signature = _read(file)
    authority = _require_signed(signature, file)
    notes = [] if (ca or hub) else [f"compare the authority's SHA-256 with a known one, or give --ca: {authority}"]
    trusted = ca if ca is not None else None if hub is None else hub / "ca.pem"
    if trusted is not None:
        _require_authority(signature, trusted)
    for device, head in signature.heads.items():
        if not genuine(head, head.key):
            raise BadData(f"the audit head of {device}, row {head.seq}, is not signed by its key")
        if hub is not None:
            require_own_log(hub, head) if device == OWN else _require_kept(hub, device, head)
        if device in (logs or {}):
            verdict = verify((logs or {})[device], head.key, [head])
            if verdict.broken is not None:
                raise BadData(f"audit log of {device}: {verdict.broken.text}")
    if signature.heads and digest_of(signature.heads) != signature.heads_sha256:
        raise BadData(f"the audit heads in {_beside(file).name} are not the ones that were counted")
    if not signature.heads:
        notes.append(f"a public report: its audit heads have the SHA-256 {signature.heads_sha256}")
    if missing := set(logs or {}) - set(signature.heads):
        raise BadData(f"the report counts no log of {', '.join(sorted(missing))}")
    return Verified(signature.at, _name_of(signature.authority), signature.heads, tuple(notes))


def _read(file: Path) -> Signature:
    try:
        return msgspec.json.decode(_beside(file).read_bytes(), type=Signature)
    except FileNotFoundError as fault:
        raise BadData(f"{_beside(file)} is missing: a signed report has its signature beside it") from fault
    except OSError as fault:
        raise Unavailable(f"{_beside(file)}: {fault.strerror}") from fault
    except (msgspec.DecodeError, UnicodeDecodeError) as fault:
        raise BadData(f"{_beside(file)} is damaged: {fault}") from fault


def _require_signed(signature: Signature, file: Path) -> str:
    """Check content, signature and certificate; returns the authority's fingerprint. Raises BadData."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec

    try:
        content = file.read_bytes()
    except OSError as fault:
        raise Unavailable(f"{file}: {fault.strerror}") from fault
    found = hashlib.sha256(content).hexdigest()
    if found != signature.sha256:
        raise BadData(
            f"{file.name} was changed after it was signed: its SHA-256 is {found}, signed was {signature.sha256}"
        )
    certificate, authority = _certificate(signature.certificate), _certificate(signature.authority)
    key = certificate.public_key()
    unsigned = msgspec.structs.replace(signature, sig="")
    try:
        if not isinstance(key, ec.EllipticCurvePublicKey):
            raise BadData("the certificate has another kind of key than a hub's")
        key.verify(base64.b64decode(signature.sig), _signed_text(unsigned), ec.ECDSA(hashes.SHA256()))
    except (InvalidSignature, ValueError) as fault:
        raise BadData(f"{_beside(file).name} was changed: its signature does not fit its content") from fault
    try:
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature) as fault:
        raise BadData("the certificate was not issued by the authority that the signature names") from fault
    signed_at = datetime.fromisoformat(signature.at.replace("Z", "+00:00"))
    if _common_name(certificate) != "hub":
        raise BadData(f"it was signed by {_common_name(certificate)}, which is no hub")
    if not certificate.not_valid_before_utc <= signed_at <= certificate.not_valid_after_utc:
        raise BadData(f"the hub's certificate was not valid at {signature.at}, when this report was signed")
    return authority.fingerprint(hashes.SHA256()).hex()


def _require_authority(signature: Signature, trusted: Path) -> None:
    from cryptography import x509

    try:
        known = x509.load_pem_x509_certificates(trusted.read_bytes())
    except (OSError, ValueError) as fault:
        raise Unavailable(f"{trusted} cannot be read: {fault}") from fault
    keys = [_der(certificate) for certificate in known]
    if signature.authority not in keys:
        raise BadData(f"it was signed under another authority than {trusted}: by another site, or before its renewal")


def _require_kept(hub: Path, device: str, head: Head) -> None:
    place = hub / FOLDER / f"{device}{HEADS}"
    logs = read_heads(place) if place.exists() else []
    kept = [each for log in logs if log.key == head.key for each in log.heads]
    if not kept:
        raise BadData(f"the audit head of {device} is signed by another key than the one that this hub knows")
    if head not in kept:
        raise BadData(f"the hub has kept no audit head of {device} of row {head.seq} like the report's")


def _certificate(text: str) -> Certificate:
    from cryptography import x509

    try:
        return x509.load_der_x509_certificate(base64.b64decode(text))
    except ValueError as fault:
        raise BadData("the signature's certificate cannot be read") from fault


def _name_of(authority: str) -> str:
    return _common_name(_certificate(authority))


def _common_name(certificate: Certificate) -> str:
    from cryptography.x509.oid import NameOID

    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(names[0].value) if names else "nobody"


def _der(certificate: Certificate) -> str:
    from cryptography.hazmat.primitives.serialization import Encoding

    return base64.b64encode(certificate.public_bytes(Encoding.DER)).decode()


def _signed_text(unsigned: Signature) -> bytes:
    return SIGNED_AS + msgspec.json.encode(unsigned, order="deterministic")


def _beside(file: Path) -> Path:
    return file.with_name(file.name + SUFFIX)
