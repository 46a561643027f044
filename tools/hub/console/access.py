"""How somebody shows that he may use the console: the name of its cookie, and the token of a change."""

from __future__ import annotations

import hashlib
import secrets

COOKIE = "lfr_console"


def csrf_token(key: str) -> str:
    """The page's token for changes, of the console's key."""
    return hashlib.sha256(b"csrf " + key.encode()).hexdigest()


def same(given: str, wanted: str) -> bool:
    """Compare in constant time."""
    return secrets.compare_digest(given.encode(), wanted.encode())
