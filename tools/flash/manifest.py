"""A kit's manifest: every file with its SHA-256, signed by the hub's certificate authority.

1. `manifest.json` lists every file of the kit but itself, its signature and the exchange folders; a file that is not
   listed, is missing or has another hash is a refusal, before anything is written.
2. `manifest.sig` is an ECDSA P-256 signature (SHA-256) over PURPOSE and the manifest's bytes, by the key of `ca.pem`.
3. Which `ca.pem` is the right one the kit cannot say itself: a person compares `authority code`, the first 16 digits of
   its SHA-256, with the one on paper that `lfr flash kit` printed.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from device.durable import replace_file
from tools.flash.root import Refusal
from tools.flash.targets import MACHINES, Target, release_named

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

FORMAT = 1
MANIFEST, SIGNATURE, AUTHORITY = "manifest.json", "manifest.sig", "ca.pem"
EXCHANGE = ("requests", "certificates")
"""Folders through which requests and certificates travel on the stick; not part of what is signed."""
PURPOSE = b"lfr-flash-manifest/1\n"
CODE_DIGITS = 16
PUBLIC = 0o644


@dataclass(frozen=True, slots=True)
class Listed:
    """One file of a kit."""

    sha256: str
    size: int


@dataclass(frozen=True, slots=True)
class Manifest:
    """A kit that was checked. `devices`: name by serial number. `needs_bytes`: what a card must have free."""

    folder: Path
    target: Target
    made: datetime
    site: str
    version: str
    devices: dict[str, str]
    needs_bytes: int
    files: dict[str, Listed]
    digest: str

    def path(self, name: str) -> Path:
        """Where a listed file lies."""
        return self.folder / name

    def below(self, folder: str) -> list[str]:
        """Names of the listed files in a folder, sorted."""
        return sorted(name for name in self.files if name.startswith(f"{folder}/"))


def sha256_of(path: Path) -> str:
    """Hex digest of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def files_in(folder: Path) -> Iterator[str]:
    """Names of what a manifest has to list (rule 1), relative, sorted."""
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and name not in (MANIFEST, SIGNATURE) and name.split("/")[0] not in EXCHANGE:
            yield name


def write_manifest(folder: Path, facts: dict[str, Any], key: EllipticCurvePrivateKey) -> None:
    """List and sign what lies in `folder`. facts: target, site, version, devices, needs_bytes."""
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec

    files = {name: [sha256_of(folder / name), (folder / name).stat().st_size] for name in files_in(folder)}
    document = {"format": FORMAT, **facts, "files": files}
    content = (json.dumps(document, indent=1, sort_keys=True) + "\n").encode()
    signature = key.sign(PURPOSE + content, ec.ECDSA(hashes.SHA256()))
    replace_file(folder / MANIFEST, content, mode=PUBLIC)
    replace_file(folder / SIGNATURE, base64.b64encode(signature) + b"\n", mode=PUBLIC)


def authority_code(certificate_pem: bytes) -> str:
    """What a person compares (rule 3). Raises ValueError."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes

    return x509.load_pem_x509_certificate(certificate_pem).fingerprint(hashes.SHA256()).hex()[:CODE_DIGITS]


def read_kit(folder: Path, code: str) -> Manifest:
    """A kit whose signature and files are good. Raises Refusal, which names every file that is not.

    code  the authority code from paper; spaces, colons and case do not matter
    """
    content = _read(folder, MANIFEST)
    _check_authority(folder, content, code)
    document = json.loads(content)
    if document.get("format") != FORMAT:
        raise Refusal("kit", f"{folder}/{MANIFEST} has format {document.get('format')!r}; this program reads {FORMAT}")
    files = {name: Listed(*entry) for name, entry in document["files"].items()}
    if wrong := list(_differences(folder, files)):
        shown = "; ".join(wrong[:5]) + (f"; and {len(wrong) - 5} more" if len(wrong) > 5 else "")
        raise Refusal("kit", f"{shown}. Make the kit again, or copy it again from where it was made")
    release, machine = document["target"]
    if machine not in MACHINES:
        raise Refusal("kit", f"{folder}/{MANIFEST} names the processor {machine!r}")
    return Manifest(
        folder=folder,
        target=Target(release_named(release), machine),
        made=datetime.fromisoformat(document["made"]),
        site=document["site"],
        version=document["version"],
        devices=document["devices"],
        needs_bytes=document["needs_bytes"],
        files=files,
        digest=hashlib.sha256(content).hexdigest(),
    )


def _read(folder: Path, name: str) -> bytes:
    try:
        return (folder / name).read_bytes()
    except OSError as fault:
        text = f"{folder / name}: {fault.strerror}; name the folder that `lfr flash kit` made"
        raise Refusal("kit", text) from fault


def _check_authority(folder: Path, content: bytes, code: str) -> None:
    """Rules 2 and 3."""
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec

    pem = _read(folder, AUTHORITY)
    try:
        certificate = x509.load_pem_x509_certificate(pem)
        found = authority_code(pem)
        signature = base64.b64decode(_read(folder, SIGNATURE), validate=False)
        key = certificate.public_key()
        if not isinstance(key, ec.EllipticCurvePublicKey):
            raise Refusal("kit", f"{folder / AUTHORITY} holds no elliptic-curve key")
        key.verify(signature, PURPOSE + content, ec.ECDSA(hashes.SHA256()))
    except (ValueError, InvalidSignature) as fault:
        text = f"{folder / MANIFEST} is not signed by {AUTHORITY}: the kit was changed or copied in part"
        raise Refusal("kit", text) from fault
    given = code.replace(" ", "").replace(":", "").lower()
    if given != found:
        raise Refusal(
            "authority", f"this kit is signed by the authority {found}, not {given or 'none given'}; compare the paper"
        )


def _differences(folder: Path, files: dict[str, Listed]) -> Iterator[str]:
    """Each file that is missing, differs or is not listed."""
    there = set(files_in(folder))
    for name, listed in files.items():
        path = folder / name
        if name not in there:
            yield f"{name} is missing"
        elif path.stat().st_size != listed.size or sha256_of(path) != listed.sha256:
            yield f"{name} was altered"
    for name in sorted(there - set(files)):
        yield f"{name} does not belong to the kit"


def now() -> datetime:
    """This machine's clock."""
    return datetime.now(timezone.utc)
