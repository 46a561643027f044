"""Alerts that are stored and not in the audit log yet: none of them is published before it is logged.

The table is written in the transaction that stores an alert's first revision, so a program that dies between storing
and logging finds the alert here when it starts again. Rows go when the audit row is on the disk; an alert whose program
dies in that moment is logged twice, under one id.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

from device.outbox.retry import MessageClass

TABLE = "CREATE TABLE IF NOT EXISTS unlogged (alert_id TEXT PRIMARY KEY) WITHOUT ROWID"


def add(sql: sqlite3.Connection, kind: MessageClass, alert_id: str | None, revision: int) -> None:
    """Note the first revision of an alert, in the transaction that stores it."""
    if kind is MessageClass.ALERT and revision == 0:
        sql.execute("INSERT OR IGNORE INTO unlogged VALUES (?)", (alert_id,))


def alerts(sql: sqlite3.Connection) -> list[str]:
    """All of them, the oldest first (ids are UUIDs of version 7)."""
    return [row[0] for row in sql.execute("SELECT alert_id FROM unlogged ORDER BY alert_id")]


def remove(sql: sqlite3.Connection, alert_ids: Iterable[str]) -> None:
    """Their audit rows are on the disk."""
    sql.executemany("DELETE FROM unlogged WHERE alert_id = ?", [(alert_id,) for alert_id in alert_ids])
