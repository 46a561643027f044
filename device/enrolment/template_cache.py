"""Outcomes of enrolment, kept for a day, holding no personal data in the clear.

1. A row's key is an HMAC of the photo's bytes under a salt; its value is AES-GCM ciphertext under a key derived from
   the salt and the photo's SHA-256. Cache and salt cannot be read without the photo.
2. Models and rules are part of both keys: another recogniser finds nothing here.
3. Rows older than KEPT_S are deleted on opening and on closing; so are rows from the future, because a clock that was
   moved back must not keep them. Deleted pages are overwritten.
4. Every row has the same length, so that it does not tell a rejection from a template.
5. The cache is optional: a broken one is made anew, an unwritable one is not used. `warnings` reports it.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import logging
import os
import secrets
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

import msgspec
import numpy as np

from device import logs
from device.durable import create_file, replace_file
from device.enrolment.rules import RULES, Outcome

KEPT_S = 24 * 3600
CLOCK_SLACK_S = 60
SALT_BYTES = 32
NONCE_BYTES = 12
WORDS_BYTES = 512
"""Room for an outcome's warnings; one that needs more is not kept."""
BUSY_S = 2.0
FLUSH_ROWS = 256
_LOG = logging.getLogger(__name__)
_SCHEMA = "CREATE TABLE IF NOT EXISTS outcome (key BLOB PRIMARY KEY, made REAL NOT NULL, sealed BLOB NOT NULL)"


class _Kept(msgspec.Struct, array_like=True):
    template: bytes
    rejected: str | None
    warnings: tuple[str, ...]
    face_px: float


class TemplateCache:
    """SQLite file `path` and salt beside it, both 0600; safe for several threads and several processes.

    models   identifies everything that decides a template: detector, recogniser and backend, by hash
    numbers  float32 numbers of a template: every row has room for them
    """

    def __init__(self, path: Path, *, models: str, numbers: int = 128, now: Callable[[], float] = time.time) -> None:
        self._path = path
        self._row_bytes = WORDS_BYTES + 4 * numbers  # rule 4
        self._models = hashlib.sha256(f"{RULES}\0{models}".encode()).digest()
        self._now = now
        self._lock = threading.Lock()
        self._unwritten: list[tuple[bytes, float, bytes]] = []
        self._salt = b""
        self._rows: sqlite3.Connection | None = None
        self.warnings: list[str] = []
        self.hits = 0
        try:
            self._open()
        except (OSError, sqlite3.Error) as fault:
            self._give_up(f"template cache {path} cannot be used, continuing without: {fault}")

    def __enter__(self) -> TemplateCache:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def get(self, encoded: bytes, digest: bytes) -> Outcome | None:
        """The outcome of a photo with the same models and rules within a day, or None."""
        if self._rows is None:
            return None
        with self._lock:
            found = self._ask("SELECT sealed FROM outcome WHERE key = ?", (self._key(encoded),))
        outcome = None if found is None else self._unseal(found, digest)
        self.hits += outcome is not None
        return outcome

    def put(self, encoded: bytes, digest: bytes, outcome: Outcome) -> None:
        """Keep an outcome; written in batches, the last one by `close`."""
        if self._rows is None:
            return
        sealed = self._seal(outcome, digest)
        if sealed is None:
            return
        with self._lock:
            self._unwritten.append((self._key(encoded), self._now(), sealed))
            if len(self._unwritten) >= FLUSH_ROWS:
                self._flush()

    def close(self) -> None:
        """Write what is not yet written, delete what is too old."""
        with self._lock:
            if self._rows is not None:
                self._flush()
            if self._rows is not None:
                with contextlib.suppress(sqlite3.Error):
                    self._expire(self._rows)
                self._rows.close()
                self._rows = None

    def _open(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._salt = self._salted()
        try:
            self._rows = self._connected()
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError as fault:
            self._warn(f"template cache {self._path} is damaged ({fault}): made anew")
            self._path.unlink(missing_ok=True)
            self._rows = self._connected()

    def _connected(self) -> sqlite3.Connection:
        os.close(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600))
        self._path.chmod(0o600)
        rows = sqlite3.connect(self._path, timeout=BUSY_S, check_same_thread=False, isolation_level=None)
        try:
            rows.execute("PRAGMA secure_delete = ON")
            rows.execute("PRAGMA synchronous = OFF")  # rule 5: losing it costs a second enrolment
            rows.execute(_SCHEMA)
            self._expire(rows)
            broken = rows.execute("PRAGMA quick_check").fetchone()[0]
            if broken != "ok":
                raise sqlite3.DatabaseError(broken)
        except sqlite3.Error:
            rows.close()
            raise
        return rows

    def _salted(self) -> bytes:
        """The salt beside the cache; made when it is missing or not a salt."""
        place = self._path.with_name(self._path.name + ".salt")
        with contextlib.suppress(FileNotFoundError):
            salt = place.read_bytes()
            if len(salt) == SALT_BYTES:
                place.chmod(0o600)
                return salt
        fresh = secrets.token_bytes(SALT_BYTES)
        if place.exists() and place.stat().st_size != SALT_BYTES:
            replace_file(place, fresh, synced=False)  # rule 5
        else:
            create_file(place, fresh, synced=False)  # of two processes that start together both use the first salt
        return place.read_bytes()

    def _expire(self, rows: sqlite3.Connection) -> None:
        now = self._now()
        rows.execute("DELETE FROM outcome WHERE made < ? OR made > ?", (now - KEPT_S, now + CLOCK_SLACK_S))

    def _ask(self, query: str, values: tuple[bytes, ...]) -> bytes | None:
        if self._rows is None:
            return None
        try:
            row = self._rows.execute(query, values).fetchone()
        except sqlite3.Error as fault:
            self._give_up(f"template cache {self._path} cannot be read, continuing without: {fault}")
            return None
        return None if row is None else bytes(row[0])

    def _flush(self) -> None:
        if self._rows is None or not self._unwritten:
            return
        try:
            self._rows.execute("BEGIN IMMEDIATE")
            self._rows.executemany("INSERT OR REPLACE INTO outcome VALUES (?, ?, ?)", self._unwritten)
            self._rows.execute("COMMIT")
        except sqlite3.Error as fault:
            self._give_up(f"template cache {self._path} cannot be written, continuing without: {fault}")
        self._unwritten.clear()

    def _give_up(self, text: str) -> None:
        self._warn(text)
        if self._rows is not None:
            with contextlib.suppress(sqlite3.Error):
                self._rows.close()
            self._rows = None

    def _warn(self, text: str) -> None:
        self.warnings.append(text)
        logs.event(_LOG, "template_cache", level=logging.WARNING, text=text)

    def _key(self, encoded: bytes) -> bytes:
        return hmac.new(self._salt, self._models + encoded, hashlib.sha256).digest()

    def _secret(self, digest: bytes) -> bytes:
        """HKDF-SHA256 (RFC 5869) of the photo's digest; the models are its context."""
        from cryptography.hazmat.primitives.hashes import SHA256
        from cryptography.hazmat.primitives.kdf.hkdf import HKDF

        return HKDF(SHA256(), 32, salt=self._salt, info=b"lfr template cache" + self._models).derive(digest)

    def _seal(self, outcome: Outcome, digest: bytes) -> bytes | None:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        template = b"" if outcome.template is None else outcome.template.astype("<f4").tobytes()
        text = msgspec.msgpack.encode(_Kept(template, outcome.rejected, outcome.warnings, outcome.face_px))
        if len(text) + 2 > self._row_bytes:
            return None
        padded = len(text).to_bytes(2, "big") + text + bytes(self._row_bytes - 2 - len(text))
        nonce = secrets.token_bytes(NONCE_BYTES)
        return nonce + AESGCM(self._secret(digest)).encrypt(nonce, padded, None)

    def _unseal(self, sealed: bytes, digest: bytes) -> Outcome | None:
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        try:
            padded = AESGCM(self._secret(digest)).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], None)
            kept = msgspec.msgpack.decode(padded[2 : 2 + int.from_bytes(padded[:2], "big")], type=_Kept)
        except (InvalidTag, ValueError, msgspec.DecodeError):
            return None
        if not kept.template:
            return Outcome(None, kept.rejected, kept.warnings, kept.face_px)
        template = np.frombuffer(kept.template, "<f4").astype(np.float32)
        return Outcome(template, None, kept.warnings, kept.face_px) if template.size else None
