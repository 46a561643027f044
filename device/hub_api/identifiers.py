"""Identifiers that sort by time: UUID version 7 (RFC 9562, section 5.7), which Python 3.10 does not make."""

from __future__ import annotations

import secrets
import uuid

from device.domain.time import WallTime

RANDOM_BYTES = 10


def uuid7(at: WallTime, random: bytes | None = None) -> str:
    """A UUIDv7 of `at`: 48 bits of Unix milliseconds, version, 12 + 62 random bits, variant 10.

    random  10 bytes for tests; None takes the system's generator
    """
    noise = secrets.token_bytes(RANDOM_BYTES) if random is None else random
    if len(noise) != RANDOM_BYTES:
        raise ValueError(f"uuid7 takes {RANDOM_BYTES} random bytes, not {len(noise)}")
    raw = bytearray(int(at.timestamp() * 1000).to_bytes(6, "big") + noise)
    raw[6] = raw[6] & 0x0F | 0x70
    raw[8] = raw[8] & 0x3F | 0x80
    return str(uuid.UUID(bytes=bytes(raw)))


def new_boot_id() -> str:
    """An identifier of one run of this program; with `seq` a receiver detects gaps."""
    return secrets.token_hex(8)
