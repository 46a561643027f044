"""An authority and certificates that are good at any time of a test's clock, and commands signed with them."""

from __future__ import annotations

from datetime import datetime, timezone
from functools import cache
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from device.domain.finding import Mode
from device.domain.time import WallTime
from device.hub_api.messages import Command, CommandName
from tools.hub.pki.command_signer import CommandSigner

Pair = tuple[x509.Certificate, ec.EllipticCurvePrivateKey]


SITE_AUTHORITY = "LFR hub demo"


@cache
def authority(name: str) -> Pair:
    """A self-signed authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    return _certificate(name, key, None, x509.BasicConstraints(ca=True, path_length=0)), key


@cache
def issued(common_name: str = "hub", by: str = SITE_AUTHORITY, *, server: bool = False, expired: bool = False) -> Pair:
    """A certificate of that authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    usage = ExtendedKeyUsageOID.SERVER_AUTH if server else ExtendedKeyUsageOID.CLIENT_AUTH
    extensions: tuple[Any, ...] = (x509.BasicConstraints(ca=False, path_length=None), x509.ExtendedKeyUsage([usage]))
    return _certificate(common_name, key, authority(by), *extensions, expired=expired), key


def pem(pair: Pair) -> bytes:
    return pair[0].public_bytes(serialization.Encoding.PEM)


def signer(folder: Path, pair: Pair | None = None, site: str = "demo") -> CommandSigner:
    """A hub's signer, its files in this folder."""
    certificate, key = pair or issued()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "hub.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    text = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "hub.key").write_bytes(text)
    return CommandSigner(folder, site, Mode.DEMO)


def a_command(folder: Path, name: CommandName, at: WallTime, pair: Pair | None = None, **changes: Any) -> Command:
    """A signed command to cam-1 by op-1."""
    fields = {"device": "cam-1", "boot_id": "boot", "given_by": "op-1", **changes}
    device = fields.pop("device")
    return signer(folder, pair).command(device, name, at=at, **fields)


def _certificate(
    name: str, key: ec.EllipticCurvePrivateKey, issuer: Pair | None, *extensions: Any, expired: bool = False
) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject if issuer is None else issuer[0].subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime(2000, 1, 1, tzinfo=timezone.utc))
        .not_valid_after(datetime(2001 if expired else 2099, 1, 1, tzinfo=timezone.utc))
    )
    for extension in extensions:
        builder = builder.add_extension(extension, critical=isinstance(extension, x509.BasicConstraints))
    return builder.sign(key if issuer is None else issuer[1], hashes.SHA256())
