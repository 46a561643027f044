"""One random key per alert: erasing the key erases the record."""

from __future__ import annotations

import secrets
import sqlite3

KEY_BYTES = 32
NONCE_BYTES = 12


def new_key() -> bytes:
    """A fresh AES-256 key from the system's generator."""
    return secrets.token_bytes(KEY_BYTES)


def seal(key: bytes, text: bytes, context: bytes) -> bytes:
    """AES-256-GCM of `text`, nonce in front (NIST SP 800-38D); `context` is authenticated, not stored.

    A key seals the few statements of one alert, far below the 2^32 that a random nonce allows.
    """
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    nonce = secrets.token_bytes(NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, text, context)


def open_sealed(key: bytes, sealed: bytes, context: bytes) -> bytes | None:
    """The text, or None when key, context or ciphertext do not match."""
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    try:
        return AESGCM(key).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], context)
    except (InvalidTag, ValueError):
        return None


def key_of(sql: sqlite3.Connection, alert_id: str) -> bytes:
    """The key of an alert; made and stored with its first message."""
    row = sql.execute("SELECT key FROM keys WHERE alert_id = ?", (alert_id,)).fetchone()
    if row is not None:
        return bytes(row[0])
    key = new_key()
    sql.execute("INSERT INTO keys VALUES (?, ?)", (alert_id, key))
    return key
