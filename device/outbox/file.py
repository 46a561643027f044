"""The outbox's SQLite file: creating, opening and checking it; setting a broken one aside.

1. WAL with synchronous=FULL: a committed row survives a power cut (sqlite.org/pragma.html#pragma_synchronous).
2. secure_delete=ON, and the WAL is truncated after an erasure, so deleted rows and keys are overwritten in the file.
   Flash keeps old blocks nevertheless, which is why bodies are encrypted and keys are small and short-lived.
3. Mode 0600 before the first byte is written.
4. A file that is corrupt or of another schema is set aside, logged as an error, and deleted after SET_ASIDE_KEEP_S:
   it may hold personal data, and its expiry times cannot be read any more.
"""

from __future__ import annotations

import logging
import os
import sqlite3
from contextlib import closing
from pathlib import Path

from device.domain.time import WallTime
from device.durable import flush_folder, make_folder
from device.eraser import HOLDS, OWED
from device.errors import Unavailable, reason_of
from device.logs import event
from device.outbox import unlogged

SCHEMA_VERSION = 1
SET_ASIDE_KEEP_S = 24 * 3600
LOCK_WAIT_S = 5.0

SCHEMA = """
CREATE TABLE messages (
    place INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    topic TEXT NOT NULL,
    content_type TEXT NOT NULL,
    qos INTEGER NOT NULL,
    alert_id TEXT,
    revision INTEGER NOT NULL,
    body BLOB NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('waiting', 'delivered')),
    expires_ms INTEGER,
    delete_by_ms INTEGER NOT NULL
);
CREATE INDEX messages_of_alert ON messages (alert_id, kind);
CREATE TABLE keys (alert_id TEXT PRIMARY KEY, key BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE erased (alert_id TEXT PRIMARY KEY, forget_ms INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE tally (name TEXT PRIMARY KEY, n INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE clock (only INTEGER PRIMARY KEY CHECK (only = 1), latest_ms INTEGER NOT NULL);
INSERT INTO clock VALUES (1, 0);
"""

_log = logging.getLogger(__name__)


def open_database(path: Path, now: WallTime) -> sqlite3.Connection:
    """The open database; a broken one is set aside first (rule 4).

    Raises Unavailable when the place cannot be written, the disk is full or the file is locked by another process.
    """
    try:
        make_folder(path.parent)
        delete_set_aside(path, now)
        return _open(path)
    except _Broken as fault:
        _set_aside(path, str(fault))
    except (OSError, sqlite3.Error) as fault:
        raise _cannot(path, fault) from fault
    try:
        return _open(path)
    except (OSError, sqlite3.Error, _Broken) as fault:
        raise _cannot(path, fault) from fault


def delete_set_aside(path: Path, now: WallTime) -> int:
    """Delete set-aside files older than SET_ASIDE_KEEP_S; returns how many."""
    old = [p for p in set_aside_files(path) if now.timestamp() - p.stat().st_mtime > SET_ASIDE_KEEP_S]
    for file in old:
        file.unlink(missing_ok=True)
        event(_log, "outbox.set_aside_deleted", file=file.name)
    return len(old)


def set_aside_files(path: Path) -> list[Path]:
    """Broken files of this outbox that still exist."""
    return sorted(path.parent.glob(f"{path.name}.broken-*"))


def truncate_wal(database: sqlite3.Connection) -> None:
    """Move committed pages into the file and truncate the WAL, old pages included (rule 2)."""
    database.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def files_of(path: Path) -> list[Path]:
    """Every file that this outbox may consist of."""
    return [path, path.with_name(path.name + "-wal"), path.with_name(path.name + "-shm")]


def kept_clock_ms(path: Path) -> int:
    """The latest trusted time that an outbox keeps; 0 without an outbox. Raises Unavailable."""
    return _on_clock(path, "SELECT latest_ms FROM clock")


def set_clock_ms(path: Path, now_ms: int) -> None:
    """Replace that time by an earlier one (`lfr clock recover`). Raises Unavailable."""
    _on_clock(path, f"UPDATE clock SET latest_ms = {now_ms:d} RETURNING latest_ms")


def _on_clock(path: Path, statement: str) -> int:
    if not path.exists():
        return 0
    try:
        with closing(sqlite3.connect(path, timeout=LOCK_WAIT_S, isolation_level=None)) as database:
            return int(database.execute(statement).fetchone()[0])
    except sqlite3.Error as fault:
        raise _cannot(path, fault) from fault


class _Broken(Exception):
    """The file exists and is not an outbox of this schema."""


def _open(path: Path) -> sqlite3.Connection:
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    path.chmod(0o600)
    flush_folder(path.parent)
    database = sqlite3.connect(path, timeout=LOCK_WAIT_S, isolation_level=None, check_same_thread=False)
    try:
        _prepare(database)
    except sqlite3.OperationalError:
        database.close()
        raise
    except sqlite3.DatabaseError as fault:
        database.close()
        raise _Broken(str(fault)) from fault
    except _Broken:
        database.close()
        raise
    return database


def _prepare(database: sqlite3.Connection) -> None:
    database.execute("PRAGMA secure_delete=ON")
    found = database.execute("PRAGMA quick_check(1)").fetchone()[0]
    if found != "ok":
        raise _Broken(found)
    version = database.execute("PRAGMA user_version").fetchone()[0]
    tables = database.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if version != SCHEMA_VERSION and (version or tables):
        raise _Broken(f"schema version {version}, this program knows {SCHEMA_VERSION}")
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("PRAGMA synchronous=FULL")
    later = f"{OWED}; {HOLDS}; {unlogged.TABLE};"  # tables that files of this version may lack
    if version:
        database.executescript(f"BEGIN; {later} COMMIT;")
    else:
        database.executescript(f"BEGIN; {SCHEMA} {later} PRAGMA user_version={SCHEMA_VERSION}; COMMIT;")


def _set_aside(path: Path, reason: str) -> None:
    number = 1 + len(set_aside_files(path))
    for file in files_of(path):
        if file.exists():
            file.rename(file.with_name(file.name.replace(path.name, f"{path.name}.broken-{number}", 1)))
    for file in set_aside_files(path):
        file.chmod(0o600)
    flush_folder(path.parent)
    event(_log, "outbox.set_aside", level=logging.ERROR, file=path.name, reason=reason, keep_s=SET_ASIDE_KEEP_S)


def _cannot(path: Path, fault: Exception) -> Unavailable:
    reason = reason_of(fault) if isinstance(fault, OSError) else str(fault)
    return Unavailable(f"outbox {path}: {reason}; alerts cannot be kept safely until this folder is writable")
