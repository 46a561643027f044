"""Who may use the page: references, roles and password hashes in `keys/users.json` (0600).

1. A reference is the officer's number, never a name: it goes into every judgement. One without a digit is refused.
2. Passwords are kept as scrypt hashes (RFC 7914) with a salt each; OWASP's minimum of 2024: N = 2^15, r = 8, p = 3.
3. An unknown reference takes as long as a wrong password.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
from pathlib import Path
from typing import Literal, get_args

import msgspec

from device.errors import BadData, RefusedByCondition, Unavailable, UsageError
from device.hub_api.topics import level
from tools.hub.storage.files import write_file

Role = Literal["operator", "supervisor", "auditor", "engineer"]
ROLES: tuple[Role, ...] = get_args(Role)
PASSWORD_LEAST = 12
_DIGIT = re.compile(r"[0-9]")
_N, _R, _P = 2**15, 8, 3


class User(msgspec.Struct, frozen=True, kw_only=True):
    """One person. salt, hash: hexadecimal."""

    role: Role
    salt: str
    hash: str


class Users:
    """The file of one hub, read again when it changes."""

    def __init__(self, hub: Path) -> None:
        self._file = hub / "keys" / "users.json"
        self._read_at: tuple[int, int] | None = None
        self._users: dict[str, User] = {}

    def all(self) -> dict[str, User]:
        """By reference. Raises BadData when the file is damaged."""
        try:
            stated = self._file.stat()
            if self._read_at != (stated.st_mtime_ns, stated.st_ino):
                self._users = msgspec.json.decode(self._file.read_bytes(), type=dict[str, User])
                self._read_at = (stated.st_mtime_ns, stated.st_ino)
        except FileNotFoundError:
            self._users, self._read_at = {}, None
        except OSError as fault:
            raise Unavailable(f"{self._file}: {fault.strerror}") from fault
        except (msgspec.DecodeError, UnicodeDecodeError) as fault:
            raise BadData(
                f"{self._file} is damaged ({fault}), so nobody is let in; restore it from a backup, or stop the hub,"
                " move the file away, and add every user again before the next start"
            ) from fault
        return dict(self._users)

    def put(self, ref: str, role: Role, password: str) -> None:
        """Add a user, or replace one (rules 1 and 2)."""
        level(ref, "reference")
        if not _DIGIT.search(ref):
            raise UsageError(f"reference {ref!r} has no digit: it may be a name; give the officer's number")
        if len(password) < PASSWORD_LEAST:
            raise UsageError(f"the password has {len(password)} characters; give at least {PASSWORD_LEAST}")
        salt = os.urandom(16)
        user = User(role=role, salt=salt.hex(), hash=_hashed(password, salt).hex())
        self._write({**self.all(), ref: user})

    def remove(self, ref: str, *, not_the_last: bool = False) -> None:
        """Remove a user; sessions end with it. UsageError for an unknown one.

        not_the_last  RefusedByCondition for the only user that is left: an operational hub needs one
        """
        users = self.all()
        if ref not in users:
            raise UsageError(f"no user {ref!r}; known: {', '.join(users) or 'none'}")
        if not_the_last and len(users) == 1:
            raise RefusedByCondition("last user", f"{ref} is the only one, and an operational hub needs users")
        self._write({name: user for name, user in users.items() if name != ref})

    def role(self, ref: str) -> Role | None:
        """The role of a user now; None for an unknown one."""
        user = self.all().get(ref)
        return None if user is None else user.role

    def check(self, ref: str, password: str) -> User | None:
        """The user whose password this is; takes a quarter of a second, call it on a thread (rule 3)."""
        user = self.all().get(ref)
        salt = bytes(16) if user is None else bytes.fromhex(user.salt)
        wanted = bytes(32) if user is None else bytes.fromhex(user.hash)
        right = hmac.compare_digest(_hashed(password, salt), wanted)
        return user if right else None

    def _write(self, users: dict[str, User]) -> None:
        self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_file(self._file, msgspec.json.encode(users))


def _hashed(password: str, salt: bytes) -> bytes:
    return hashlib.scrypt(password.encode(), salt=salt, n=_N, r=_R, p=_P, maxmem=2**27, dklen=32)
