"""How somebody shows that he may use the console (its cookie, the token of a change), its headers and its clock."""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime, timezone

from device.domain.time import WallTime, wall

COOKIE = "lfr_console"
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


def csrf_token(key: str) -> str:
    """The page's token for changes, of the console's key."""
    return hashlib.sha256(b"csrf " + key.encode()).hexdigest()


def same(given: str, wanted: str) -> bool:
    """Compare in constant time."""
    return secrets.compare_digest(given.encode(), wanted.encode())


def wall_now() -> WallTime:
    """The hub's wall time."""
    return wall(datetime.now(timezone.utc))
