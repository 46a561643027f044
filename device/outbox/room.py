"""Room in the outbox: what may be given up for it, and the counts that outlive everything personal."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from device.errors import Unavailable
from device.outbox.retry import ROOM_ORDER


def make_room(sql: sqlite3.Connection, path: Path, *, needed: int, max_rows: int, max_bytes: int) -> list[str]:
    """Delete rows in ROOM_ORDER until `needed` bytes fit; their ids. Raises Unavailable when only alerts are left."""
    gone: list[str] = []
    while True:
        rows, size = sql.execute("SELECT count(*), coalesce(sum(length(body)), 0) FROM messages").fetchone()
        if rows < max_rows and size + needed <= max_bytes:
            return gone
        for kind in ROOM_ORDER:
            oldest = sql.execute(
                "SELECT id FROM messages WHERE kind = ? ORDER BY place LIMIT 1", (kind.value,)
            ).fetchone()
            if oldest is not None:
                sql.execute("DELETE FROM messages WHERE id = ?", oldest)
                gone.append(oldest[0])
                count(sql, f"room.{kind.value}")
                break
        else:
            raise Unavailable(
                f"outbox {path} is full of alerts ({rows} rows, {size} bytes): the hub must acknowledge them"
            )


def count(sql: sqlite3.Connection, name: str) -> None:
    """One more of this name."""
    sql.execute("INSERT INTO tally VALUES (?, 1) ON CONFLICT (name) DO UPDATE SET n = n + 1", (name,))


def owed(sql: sqlite3.Connection) -> list[tuple[str, str]]:
    """Alert and reason of what the eraser has erased since it was last asked."""
    rows = sql.execute("SELECT alert_id, reason FROM owed").fetchall()
    for _, reason in rows:
        count(sql, f"erased.{reason}")
    sql.execute("DELETE FROM owed")
    return rows
