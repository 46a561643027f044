"""The hub's own certificate authority: P-256 keys, short lifetimes, one certificate per device, its name as the CN.

1. The broker takes the common name as the MQTT user, so a name is issued once and never to two holders.
2. Private keys are written with mode 0600, and never leave the hub, except a device's own, which is copied by hand.
3. A revoked certificate stays on `crl.pem` for good; broker and repository server refuse it.
4. `<name>.serials` beside a certificate holds the serial number of every certificate that the name got, and is on the
   disk before the certificate: a revocation covers them all, because a renewed one leaves the one before it valid.
5. Client certificates may only be clients and the server certificate only a server (RFC 5280, extended key usage).
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING

from device.errors import Unavailable
from tools.hub.storage.files import PUBLIC, write_file

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey, EllipticCurvePublicKey
    from cryptography.x509 import Certificate

AUTHORITY_DAYS = 90
LEAF_DAYS = 30
SERIALS = ".serials"
BACKDATED = timedelta(minutes=5)  # a device whose clock is a little slow still accepts a fresh certificate


@dataclass(frozen=True, slots=True)
class Authority:
    """An open CA: its certificate and its key, in memory."""

    certificate: Certificate
    key: EllipticCurvePrivateKey

    def issue_server(self, folder: Path, name: str, hosts: tuple[str, ...]) -> None:
        """`<name>.pem` and `<name>.key` of the broker, valid for these host names and addresses."""
        self._issue(folder, name, hosts, server=True)

    def issue_client(self, folder: Path, name: str) -> None:
        """`<name>.pem` and `<name>.key` of one MQTT user."""
        self._issue(folder, name, (), server=False)

    def certify_client(self, folder: Path, name: str, key: EllipticCurvePublicKey) -> bytes:
        """`<name>.pem` of one MQTT user for a key that was made elsewhere; the caller has seen proof of it."""
        return _deliver(folder / f"{name}.pem", self._certify(name, key, (), server=False))

    def renew(self, file: Path, hosts: tuple[str, ...], *, server: bool) -> None:
        """Replace a certificate by one of the same name and key with a new time."""
        from cryptography import x509
        from cryptography.hazmat.primitives.asymmetric import ec
        from cryptography.x509.oid import NameOID

        old = x509.load_pem_x509_certificate(file.read_bytes())
        key = old.public_key()
        if not isinstance(key, ec.EllipticCurvePublicKey):
            raise ValueError(f"{file} has no elliptic-curve key")
        name = str(old.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value)
        _deliver(file, self._certify(name, key, hosts, server=server))

    def _issue(self, folder: Path, name: str, hosts: tuple[str, ...], *, server: bool) -> None:
        from cryptography.hazmat.primitives.asymmetric import ec

        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self._certify(name, key.public_key(), hosts, server=server)
        _write_key(folder / f"{name}.key", key)
        _deliver(folder / f"{name}.pem", certificate)

    def _certify(self, name: str, key: EllipticCurvePublicKey, hosts: tuple[str, ...], *, server: bool) -> Certificate:
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes
        from cryptography.x509.oid import ExtendedKeyUsageOID

        usage = ExtendedKeyUsageOID.SERVER_AUTH if server else ExtendedKeyUsageOID.CLIENT_AUTH
        builder = (
            _dated(LEAF_DAYS)
            .subject_name(_name(name))
            .issuer_name(self.certificate.subject)
            .public_key(key)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False)
        )
        if hosts:
            builder = builder.add_extension(x509.SubjectAlternativeName([_host(h) for h in hosts]), critical=False)
        return builder.sign(self.key, hashes.SHA256())


def open_authority(folder: Path, site: str) -> Authority:
    """The CA in `folder` (`ca.pem`, `ca.key`), made on first use."""
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    if (folder / "ca.key").exists():
        certificate = x509.load_pem_x509_certificate((folder / "ca.pem").read_bytes())
        key = serialization.load_pem_private_key((folder / "ca.key").read_bytes(), password=None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise ValueError(f"{folder / 'ca.key'} is no elliptic-curve key")
        return Authority(certificate, key)
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = _self_signed(key, _name(f"LFR hub {site}"))
    _write_key(folder / "ca.key", key)
    write_file(folder / "ca.pem", certificate.public_bytes(serialization.Encoding.PEM), mode=PUBLIC)
    return Authority(certificate, key)


def renew_authority(folder: Path) -> None:
    """Replace `ca.pem` by one of the same name and key with a new time."""
    from cryptography.hazmat.primitives import serialization

    old = open_authority(folder, "")
    renewed = _self_signed(old.key, old.certificate.subject)
    write_file(folder / "ca.pem", renewed.public_bytes(serialization.Encoding.PEM), mode=PUBLIC)


def _self_signed(key: EllipticCurvePrivateKey, name: x509.Name) -> Certificate:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes

    return (
        _dated(AUTHORITY_DAYS)
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )


def revoke_certificate(folder: Path, site: str, revoked: Path | None) -> None:
    """Write `crl.pem`: earlier revocations and every certificate of the name whose file is `revoked` (rule 4).

    Of a name without a record, in a folder that is older than the records: the certificate in the file.
    Without `revoked` the list is signed again, or made empty where there is none. Raises Unavailable.

    It is valid as long as the authority itself (RFC 5280, 5.1.2.5), so that no hub stops because it was not renewed.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization

    authority, file = open_authority(folder, site), folder / "crl.pem"
    now = datetime.now(timezone.utc)
    known = list(x509.load_pem_x509_crl(file.read_bytes())) if file.exists() else []
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(authority.certificate.subject)
        .last_update(now - BACKDATED)
        .next_update(authority.certificate.not_valid_after_utc)
    )
    serials = {row.serial_number for row in known}
    for row in known:
        builder = builder.add_revoked_certificate(row)
    for serial in () if revoked is None else _issued_to(revoked):
        if serial not in serials:
            row = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(now - BACKDATED).build()
            builder = builder.add_revoked_certificate(row)
    write_file(file, builder.sign(authority.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))


def _deliver(file: Path, certificate: Certificate) -> bytes:
    """Write a certificate in its place, its serial number first (rule 4); its PEM."""
    from cryptography.hazmat.primitives.serialization import Encoding

    serials = (*_issued_to(file), certificate.serial_number)
    write_file(file.with_suffix(SERIALS), "".join(f"{serial:x}\n" for serial in serials).encode())
    pem = certificate.public_bytes(Encoding.PEM)
    write_file(file, pem, mode=PUBLIC)
    return pem


def _issued_to(file: Path) -> tuple[int, ...]:
    """Serial numbers of the certificates that the name of this file got, as far as they are known, oldest first."""
    from cryptography import x509

    record = file.with_suffix(SERIALS)
    try:
        known = [int(line, 16) for line in record.read_text(encoding="ascii").splitlines()] if record.exists() else []
        held = [x509.load_pem_x509_certificate(file.read_bytes()).serial_number] if file.exists() else []
    except (OSError, ValueError) as fault:
        raise Unavailable(f"{record} or {file} cannot be read: {fault}") from fault
    return tuple(dict.fromkeys((*known, *held)))


def _write_key(file: Path, key: EllipticCurvePrivateKey) -> None:
    from cryptography.hazmat.primitives import serialization

    text = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    write_file(file, text)


def _dated(days: int) -> x509.CertificateBuilder:
    from cryptography import x509

    now = datetime.now(timezone.utc)
    return (
        x509.CertificateBuilder()
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATED)
        .not_valid_after(now + timedelta(days=days))
    )


def _name(common_name: str) -> x509.Name:
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _host(text: str) -> x509.GeneralName:
    from cryptography import x509

    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text)


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    from cryptography import x509

    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
