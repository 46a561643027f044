"""Signing evidence: Ed25519, a private key in a file of its own, PEM, readable by its owner alone.

The key's holder is responsible for the measurement: the person or laboratory that made it. The key is kept off the
device and off the hub; the device needs the public half only. To replace a key that is lost or no longer trusted, sign
the artefact anew, and remove the old public key from `trusted.json` or from the folder that the configuration names.
"""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from device.errors import Unavailable, UsageError
from device.evidence.artefact import Artefact, canonical, key_id
from engines.error_text import error_text

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


def new_key(path: Path) -> Ed25519PrivateKey:
    """Make a key in `path`, 0600, and its public half beside it as `path`.pub.pem; neither may be there already."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

    key, half = Ed25519PrivateKey.generate(), path.with_name(path.name + ".pub.pem")
    if half.exists():
        raise UsageError(f"{half} exists already; a key is never overwritten: name a new file")
    try:
        opened = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as fault:
        raise UsageError(f"{path} exists already; a key is never overwritten: name a new file") from fault
    except OSError as fault:
        raise Unavailable(f"{path}: {error_text(fault)}; name a file in a folder that can be written") from fault
    with os.fdopen(opened, "wb") as stream:
        stream.write(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    half.write_bytes(public)
    return key


def load_key(path: Path) -> Ed25519PrivateKey:
    """A private key from its PEM file. Raises UsageError."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except OSError as fault:
        raise UsageError(f"{path}: {error_text(fault)}; make a key with `lfr calibrate key`") from fault
    except (ValueError, TypeError) as fault:
        raise UsageError(f"{path}: not a private key in PEM; make one with `lfr calibrate key`") from fault
    if not isinstance(key, Ed25519PrivateKey):
        raise UsageError(f"{path}: not an Ed25519 key; make one with `lfr calibrate key`")
    return key


def signed(artefact: Artefact, key: Ed25519PrivateKey) -> bytes:
    """The document with its signature, as it is written: one line a member, so that changes can be compared."""
    document: dict[str, Any] = json.loads(msgspec.json.encode(artefact))
    signature = base64.b64encode(key.sign(canonical(document))).decode("ascii")
    document["signature"] = {"key": key_id(key.public_key()), "ed25519": signature}
    lines = [f"{json.dumps(name)}: {json.dumps(value)}" for name, value in document.items()]
    return ("{\n" + ",\n".join(lines) + "\n}\n").encode("ascii")


def public_hex(key: Ed25519PrivateKey) -> str:
    """The public key as `trusted.json` holds it."""
    return key.public_key().public_bytes_raw().hex()
