"""The desk on disk: open cases, outgoing judgements and the counts, in one transaction, safe against kill -9.

1. One SQLite file, `desk.sqlite`. Every case has a random key of its own; alert and probe are sealed with it
   (AES-256-GCM). Erasing a case deletes the key with its rows; secure_delete overwrites them, and the WAL is truncated.
2. A probe is kept as it was received, ciphertext to the hub's key of its deployment: without that key, which is erased
   at the end of the deployment, it cannot be opened.
3. Changes are collected in one transaction until `commit`; the counts (`Tallies`) are part of it, so that the counts
   and the cases on the desk cannot differ after a kill.
4. A file that is damaged or of another schema is deleted and made anew: it may hold personal data, and devices send
   alerts without a judgement again when the hub returns.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import msgspec

from device.domain.retention import CEILING_DAYS
from device.errors import Unavailable
from device.hub_api.messages import Alert
from device.logs import event
from device.outbox.sealing import key_of, open_sealed, seal

SCHEMA_VERSION = 1
SCHEMA = """
CREATE TABLE keys (alert_id TEXT PRIMARY KEY, key BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE cases (place INTEGER PRIMARY KEY AUTOINCREMENT, alert_id TEXT NOT NULL UNIQUE, body BLOB NOT NULL);
CREATE TABLE probes (alert_id TEXT PRIMARY KEY, device TEXT NOT NULL, body BLOB NOT NULL);
CREATE TABLE gone (alert_id TEXT PRIMARY KEY, forget_s INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE seen (place INTEGER PRIMARY KEY AUTOINCREMENT, event TEXT NOT NULL UNIQUE);
CREATE TABLE judgements (token TEXT PRIMARY KEY, body BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE book (only INTEGER PRIMARY KEY CHECK (only = 1), body BLOB NOT NULL);
"""
SEEN_MOST = 10_000
ROOM_BYTES = 65_536  # what a judgement writes at most: a message, a case, an erasure, and the counts

_log = logging.getLogger(__name__)


class StoredCase(msgspec.Struct, frozen=True, kw_only=True):
    """One case as it is kept; times are RFC 3339."""

    alert: Alert
    device: str
    arrived: str
    delete_by: str
    outcome: str | None = None
    engagement: str | None = None
    disposition: str | None = None


class StoredJudgement(msgspec.Struct, frozen=True, kw_only=True):
    """A judgement that is not settled: the message as it was first sent. No biometric data, no entry reference."""

    token: str
    alert_id: str
    topic: str
    payload: bytes
    device: str | None
    until_erased: bool
    made: str


@dataclass(frozen=True, slots=True)
class StoredProbe:
    """A probe's ciphertext, as received."""

    alert_id: str
    device: str
    ciphertext: bytes


class SealedDesk:
    """The file of one hub; used on the console's loop only."""

    def __init__(self, path: Path) -> None:
        """Open or make it. Raises Unavailable when the folder cannot be written or another program holds the file."""
        self.path = path
        self.problem = ""
        """Why the last change could not be kept; empty while the disk takes them."""
        self._open = False
        self._erased = False
        try:
            self._database = _opened(path)
        except sqlite3.OperationalError as fault:
            raise Unavailable(f"{path}: {fault}; the hub cannot keep its open cases there") from fault
        except sqlite3.DatabaseError as fault:
            event(_log, "hub.desk_file_damaged", level=logging.ERROR, file=path.name, reason=str(fault))
            for name in (path.name, f"{path.name}-wal", f"{path.name}-shm"):
                path.with_name(name).unlink(missing_ok=True)
            self._database = _opened(path)

    def put_case(self, case: StoredCase) -> None:
        """Keep a case, or its new state."""
        alert_id = case.alert.alert_id
        with self._change() as sql:
            body = seal(key_of(sql, alert_id), msgspec.json.encode(case), alert_id.encode())
            sql.execute(
                "INSERT INTO cases (alert_id, body) VALUES (?, ?)"
                " ON CONFLICT (alert_id) DO UPDATE SET body = excluded.body",
                (alert_id, body),
            )

    def put_probe(self, probe: StoredProbe) -> None:
        """Keep a probe's ciphertext (rule 2)."""
        with self._change() as sql:
            body = seal(key_of(sql, probe.alert_id), probe.ciphertext, probe.alert_id.encode())
            sql.execute("INSERT OR REPLACE INTO probes VALUES (?, ?, ?)", (probe.alert_id, probe.device, body))

    def erase(self, alert_id: str) -> None:
        """Erase a case: its key, its rows and its probe (rule 1); its id is kept, so that it does not return."""
        forget_s = round(time.time()) + CEILING_DAYS * 86_400
        with self._change(erasing=True) as sql:
            for table in ("keys", "cases", "probes"):
                sql.execute(f"DELETE FROM {table} WHERE alert_id = ?", (alert_id,))
            sql.execute("INSERT OR REPLACE INTO gone VALUES (?, ?)", (alert_id, forget_s))

    def erase_probe(self, alert_id: str) -> None:
        """Delete a probe alone."""
        with self._change(erasing=True) as sql:
            sql.execute("DELETE FROM probes WHERE alert_id = ?", (alert_id,))

    def put_seen(self, event_id: str) -> None:
        """Remember a receipt that was counted."""
        with self._change() as sql:
            sql.execute("INSERT OR IGNORE INTO seen (event) VALUES (?)", (event_id,))
            sql.execute("DELETE FROM seen WHERE place <= (SELECT max(place) FROM seen) - ?", (SEEN_MOST,))

    def put_judgement(self, judgement: StoredJudgement) -> None:
        """Keep a judgement until it is settled."""
        with self._change() as sql:
            body = msgspec.msgpack.encode(judgement)
            sql.execute("INSERT OR REPLACE INTO judgements VALUES (?, ?)", (judgement.token, body))

    def drop_judgement(self, token: str) -> None:
        """It is settled."""
        with self._change() as sql:
            sql.execute("DELETE FROM judgements WHERE token = ?", (token,))

    def put_book(self, content: bytes) -> None:
        """Keep the counts with what they count (rule 3)."""
        with self._change() as sql:
            sql.execute("INSERT OR REPLACE INTO book VALUES (1, ?)", (content,))

    def commit(self) -> bool:
        """Write every change since the last one to the disk; False, and `problem`, when it refuses."""
        if not self._open:
            return not self.problem
        try:
            self._database.execute("COMMIT")
            if self._erased:
                self._database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except sqlite3.Error as fault:
            self._failed(fault)
            return False
        self._open = self._erased = False
        if self.problem:
            event(_log, "hub.desk_kept_again")
        self.problem = ""
        return True

    def try_room(self) -> str:
        """Why the disk does not take a judgement now; empty when it does: as much is written, and deleted again."""
        trial = "room " + "x" * ROOM_BYTES
        for statement in ("INSERT OR IGNORE INTO seen (event) VALUES (?)", "DELETE FROM seen WHERE event = ?"):
            with self._change() as sql:
                sql.execute(statement, (trial,))
            if not self.commit():
                break
        return self.problem

    def ids(self) -> set[str]:
        """Every alert of which anything is kept."""
        return {row[0] for row in self._database.execute("SELECT alert_id FROM keys").fetchall()}

    def cases(self) -> list[StoredCase]:
        """Every case, oldest first; one that does not open is dropped."""
        found = []
        for alert_id, body in self._database.execute("SELECT alert_id, body FROM cases ORDER BY place").fetchall():
            text = self._opened(alert_id, body)
            with suppress(msgspec.DecodeError):
                if text is not None:
                    found.append(msgspec.json.decode(text, type=StoredCase))
        return found

    def probes(self) -> list[StoredProbe]:
        """Every probe's ciphertext."""
        rows = self._database.execute("SELECT alert_id, device, body FROM probes").fetchall()
        opened = ((alert_id, device, self._opened(alert_id, body)) for alert_id, device, body in rows)
        return [StoredProbe(alert_id, device, text) for alert_id, device, text in opened if text is not None]

    def gone(self) -> list[str]:
        """Ids of cases that must not return."""
        with self._change() as sql:
            sql.execute("DELETE FROM gone WHERE forget_s <= ?", (round(time.time()),))
        return [row[0] for row in self._database.execute("SELECT alert_id FROM gone")]

    def seen(self) -> list[str]:
        """Event ids of receipts that were counted."""
        return [row[0] for row in self._database.execute("SELECT event FROM seen ORDER BY place")]

    def judgements(self) -> list[StoredJudgement]:
        """Judgements that are not settled, oldest first (their tokens are in the order of time)."""
        rows = self._database.execute("SELECT body FROM judgements ORDER BY token").fetchall()
        return [msgspec.msgpack.decode(body, type=StoredJudgement) for (body,) in rows]

    def book(self) -> bytes | None:
        """The counts, None in a new file."""
        row = self._database.execute("SELECT body FROM book").fetchone()
        return None if row is None else bytes(row[0])

    def close(self) -> None:
        """Commit and close."""
        self.commit()
        self._database.close()

    def _opened(self, alert_id: str, body: bytes) -> bytes | None:
        row = self._database.execute("SELECT key FROM keys WHERE alert_id = ?", (alert_id,)).fetchone()
        return None if row is None else open_sealed(row[0], body, alert_id.encode())

    @contextmanager
    def _change(self, erasing: bool = False) -> Iterator[sqlite3.Connection]:
        """One change inside the running transaction; a disk that refuses is logged and shown, and ends nothing."""
        try:
            if not self._open:
                self._database.execute("BEGIN IMMEDIATE")
                self._open = True
            yield self._database
            self._erased = self._erased or erasing
        except sqlite3.Error as fault:
            self._failed(fault)

    def _failed(self, fault: Exception) -> None:
        with suppress(sqlite3.Error):
            self._database.execute("ROLLBACK")
        self._open = False
        if str(fault) != self.problem:
            event(_log, "hub.desk_not_kept", level=logging.ERROR, reason=str(fault))
        self.problem = str(fault)


def read_cases(path: Path) -> list[StoredCase]:
    """Every case in a hub's desk, without changing the file; the hub may run. Raises Unavailable."""
    if not path.exists():
        return []
    try:
        database = sqlite3.connect(f"file:{quote(str(path))}?mode=ro", timeout=5.0, uri=True)
    except sqlite3.Error as fault:
        raise Unavailable(f"{path}: {fault}") from fault
    try:
        rows = database.execute("SELECT alert_id, body, key FROM cases JOIN keys USING (alert_id) ORDER BY place")
        opened = [open_sealed(key, body, alert_id.encode()) for alert_id, body, key in rows.fetchall()]
        return [msgspec.json.decode(text, type=StoredCase) for text in opened if text is not None]
    except (sqlite3.Error, msgspec.DecodeError) as fault:
        raise Unavailable(f"{path} cannot be read: {fault}") from fault
    finally:
        database.close()


def _opened(path: Path) -> sqlite3.Connection:
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    path.chmod(0o600)
    database = sqlite3.connect(path, timeout=5.0, isolation_level=None, check_same_thread=False)
    database.execute("PRAGMA secure_delete=ON")
    if database.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok":
        raise sqlite3.DatabaseError("the file is damaged")
    version = database.execute("PRAGMA user_version").fetchone()[0]
    tables = database.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if version != SCHEMA_VERSION and (version or tables):
        raise sqlite3.DatabaseError(f"schema version {version}, this program knows {SCHEMA_VERSION}")
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("PRAGMA synchronous=FULL")
    if not version:
        database.executescript(f"BEGIN; {SCHEMA} PRAGMA user_version={SCHEMA_VERSION}; COMMIT;")
    return database
