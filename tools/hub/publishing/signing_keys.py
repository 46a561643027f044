"""Signing keys as files: Ed25519, PKCS#8 in `NAME.key` (0600, with a passphrase if one is given), public in `NAME.pub`.

1. Root, targets and officer keys are kept by their holders, never in a hub's folder: everything that makes or uses one
   calls `require_outside`.
2. Only public halves are passed on: an officer makes a key and hands over the `.pub`.
3. A private key or a passphrase that others of its machine can read is not used, as with ssh.
"""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any

from device.errors import BadData, ConfigError, Unavailable, UsageError
from tools.hub.storage import files
from tools.hub.storage.files import Batch, erase_secret, writing

if TYPE_CHECKING:
    from securesystemslib.signer import CryptoSigner, Key

PRIVATE, PUBLIC = ".key", ".pub"
OTHERS = 0o077


def make_key(folder: Path, name: str, passphrase: bytes | None = None) -> Key:
    """A new key pair `folder/name.key` and `.pub`; UsageError when one of that name is there."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from securesystemslib.signer import CryptoSigner

    if (folder / f"{name}{PRIVATE}").exists():
        raise UsageError(f"{folder / name}{PRIVATE} exists; keys are never overwritten: choose another name or folder")
    private = Ed25519PrivateKey.generate()
    encryption: serialization.KeySerializationEncryption = (
        serialization.BestAvailableEncryption(passphrase) if passphrase else serialization.NoEncryption()
    )
    public = CryptoSigner(private).public_key
    secret = private.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)
    with writing(folder / name):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with Batch() as pair:
        pair.put(folder / f"{name}{PRIVATE}", secret)
        pair.put(folder / f"{name}{PUBLIC}", public_text(public).encode(), mode=files.PUBLIC)
    return public


def unmake_key(folder: Path, name: str) -> None:
    """Delete a pair that nothing was signed with: the operation it was made for has failed."""
    for suffix in (PRIVATE, PUBLIC):
        erase_secret(folder / f"{name}{suffix}")


def open_key(file: Path, passphrase: bytes | None = None) -> CryptoSigner:
    """The signer in a private key file. Unavailable: it is not there; ConfigError: it does not open, or rule 3."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from securesystemslib.signer import CryptoSigner

    try:
        _require_private(file)
        content = file.read_bytes()
    except OSError as fault:
        raise Unavailable(f"key {file}: {fault.strerror}; insert the medium with the key") from fault
    try:
        private = serialization.load_pem_private_key(content, passphrase if b"ENCRYPTED" in content else None)
    except TypeError as fault:
        raise ConfigError(str(file), ("is protected by a passphrase; name its file with --passphrase-file",)) from fault
    except ValueError as fault:
        raise ConfigError(str(file), ("does not open: no PKCS#8 key, or the passphrase is another",)) from fault
    if not isinstance(private, Ed25519PrivateKey):
        raise ConfigError(str(file), ("is no Ed25519 key",))
    return CryptoSigner(private)


def public_text(key: Key) -> str:
    """The content of a `.pub` file: the key as TUF metadata spells it."""
    return json.dumps({"keyid": key.keyid, **key.to_dict()}, sort_keys=True) + "\n"


def read_public(file: Path) -> Key:
    """The key of a `.pub` file; BadData when it is none."""
    from securesystemslib.signer import Key

    try:
        value: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        key: Key = Key.from_dict(value.pop("keyid"), value)
    except OSError as fault:
        raise Unavailable(f"public key {file}: {fault.strerror}") from fault
    except (ValueError, KeyError, TypeError, AttributeError) as fault:
        raise BadData(f"{file} is no public key; `lfr authority key` makes a pair") from fault
    return key


def read_passphrase(file: Path | None) -> bytes | None:
    """The first line of a passphrase file; None without one."""
    if file is None:
        return None
    try:
        _require_private(file)
        line = file.read_bytes().split(b"\n", 1)[0].rstrip(b"\r")
    except OSError as fault:
        raise Unavailable(f"passphrase file {file}: {fault.strerror}") from fault
    if not line:
        raise ConfigError(str(file), ("its first line is empty; it must hold the passphrase",))
    return line


def _require_private(file: Path) -> None:
    """Raise for a private file that others can read (rule 3); OSError when it is not there."""
    mode = stat.S_IMODE(file.stat().st_mode)
    if mode & OTHERS:
        raise ConfigError(
            str(file),
            (
                f"mode {mode:04o}: others on this machine can read it; `chmod 600 {file}` (a stick without file modes:"
                " mount it with umask=077), and replace it if somebody may have read it",
            ),
        )


def require_outside(hub: Path, place: Path) -> None:
    """UsageError when `place` lies in the hub's folder (rule 1)."""
    if place.resolve().is_relative_to(hub.resolve()):
        raise UsageError(
            f"{place} lies in the hub's folder {hub}: root and officer keys must stay off the hub; use another medium"
        )
