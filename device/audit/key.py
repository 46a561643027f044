"""The device's own signing key (Ed25519, RFC 8032): made on first start, readable by its owner alone, never sent.

1. `device.key` (PKCS #8, PEM) is written with mode 0600 from its first byte, flushed, and put in place by link(2), so
   that two first starts agree on one key and a power cut leaves a whole key or none.
2. `device.pub` (the public half, 64 hexadecimal digits) lies beside it for verification, flushed with its folder like
   the key; the birth certificate sends it to the hub.
3. A key that cannot be read is never replaced silently: a new one would make old heads look forged.

What it proves: that a row was signed on this device. A person with root on the device can sign anything from then on;
only heads that were published before (the hub keeps them) still prove the past.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from device.durable import create_file, make_folder, replace_file
from device.errors import BadData, Unavailable

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

FILE = "device.key"
PUBLIC_FILE = "device.pub"
SIGNATURE_BYTES = 64


@dataclass(frozen=True, slots=True)
class DeviceKey:
    """The private key in memory. public: its public half, 32 bytes in hexadecimal."""

    public: str
    _private: Ed25519PrivateKey = field(repr=False)

    def sign(self, content: bytes) -> bytes:
        """64 bytes."""
        return self._private.sign(content)


def device_key(state_dir: Path) -> DeviceKey:
    """This device's key, made if there is none (rules 1 and 2). Raises Unavailable (rule 3)."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

    file = state_dir / FILE
    try:
        if not file.exists():
            _make(file)
        file.chmod(0o600)
        private = load_pem_private_key(file.read_bytes(), password=None)
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as fault:
        raise Unavailable(
            f"device key {file}: {fault}; move it away to have a new one made, and pass on its new public half"
        ) from fault
    if not isinstance(private, Ed25519PrivateKey):
        raise Unavailable(f"device key {file} is no Ed25519 key; move it away to have a new one made")
    public = private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw).hex()
    _publish(state_dir / PUBLIC_FILE, public)
    return DeviceKey(public, private)


def signed_by(public: str, content: bytes, signature: bytes) -> bool:
    """Whether `signature` over `content` was made with the private half of `public` (64 hexadecimal digits)."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(public)).verify(signature, content)
    except (InvalidSignature, ValueError):
        return False
    return True


def read_public(text: str) -> str:
    """The public key in a text: 64 hexadecimal digits, or a PEM public key. Raises BadData."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

    word = text.strip()
    if len(word) == 64 and not set(word.lower()) - set("0123456789abcdef"):
        return word.lower()
    try:
        key = load_pem_public_key(word.encode())
    except ValueError as fault:
        raise BadData("a public key is 64 hexadecimal digits or a PEM file of an Ed25519 key") from fault
    if not isinstance(key, Ed25519PublicKey):
        raise BadData("the PEM file holds another kind of key; the device's is Ed25519")
    return key.public_bytes(Encoding.Raw, PublicFormat.Raw).hex()


def _make(file: Path) -> None:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    content = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    make_folder(file.parent)
    create_file(file, content)  # two processes that start together: the first key stays


def _publish(file: Path, public: str) -> None:
    """Write the public half where it is missing or wrong; without it everything works but `lfr audit verify`."""
    try:
        if not file.exists() or file.read_text(encoding="ascii").strip() != public:
            replace_file(file, f"{public}\n".encode("ascii"), mode=0o644)
    except (OSError, UnicodeDecodeError):
        return
