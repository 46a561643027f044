"""Room in a full outbox: counts and receipts are given up for it, oldest first, alerts never."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

from device.errors import Unavailable
from device.outbox.retry import ROOM_ORDER, MessageClass


def given_up(sql: sqlite3.Connection, needed: int, *, rows: int, size: int) -> Iterator[tuple[str, MessageClass]]:
    """Delete messages until one of `needed` bytes fits below `rows` and `size`; what went, as it goes.

    Raises Unavailable when it cannot fit.
    """
    while True:
        count, held = sql.execute("SELECT count(*), coalesce(sum(length(body)), 0) FROM messages").fetchone()
        if count < rows and held + needed <= size:
            return
        oldest = _oldest(sql)
        if oldest is None:
            raise Unavailable(
                f"the outbox is full of alerts ({count} rows, {held} bytes): the hub must acknowledge them"
            )
        sql.execute("DELETE FROM messages WHERE id = ?", (oldest[0],))
        yield oldest


def _oldest(sql: sqlite3.Connection) -> tuple[str, MessageClass] | None:
    """The message that is given up first."""
    for kind in ROOM_ORDER:
        found = sql.execute("SELECT id FROM messages WHERE kind = ? ORDER BY place LIMIT 1", (kind.value,)).fetchone()
        if found is not None:
            return found[0], kind
    return None
