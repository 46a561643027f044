"""Alerts under an evidence or complaint hold: kept past their time, until the hold's end; SQL on the outbox's file.

1. A held alert keeps its own key; its rows, those of later revisions too, go at the hold's `until`, and nothing else
   moves that but the hub.
2. A release, or `until`, puts it back to its ordinary time; if that has passed, it is erased: `end_of_hold`.
3. A false alert erases what is held as evidence, and leaves what is held for a complaint.
4. The tamper line erases held alerts, too.
"""

from __future__ import annotations

import sqlite3
from typing import Literal

Kind = Literal["evidence", "complaint"]
END_OF_HOLD = "end_of_hold"


def hold(sql: sqlite3.Connection, alert_id: str, kind: Kind, until_ms: int) -> bool:
    """Hold an alert that is here, or move the end of its hold; whether there was such an alert."""
    was = sql.execute("SELECT max(delete_by_ms) FROM messages WHERE alert_id = ?", (alert_id,)).fetchone()[0]
    if was is None:
        return False
    sql.execute(
        "INSERT INTO holds VALUES (?, ?, ?, ?)"
        " ON CONFLICT (alert_id) DO UPDATE SET kind = excluded.kind, until_ms = excluded.until_ms",
        (alert_id, kind, until_ms, was),
    )
    sql.execute("UPDATE messages SET delete_by_ms = ? WHERE alert_id = ?", (until_ms, alert_id))
    return True


def release(sql: sqlite3.Connection, alert_id: str, now_ms: int) -> bool:
    """End a hold (rule 2); True when the alert is to be erased now."""
    row = sql.execute("SELECT was_ms FROM holds WHERE alert_id = ?", (alert_id,)).fetchone()
    if row is None:
        return False
    forget(sql, alert_id)
    sql.execute("UPDATE messages SET delete_by_ms = ? WHERE alert_id = ?", (row[0], alert_id))
    return bool(row[0] <= now_ms)


def over(sql: sqlite3.Connection, now_ms: int) -> list[str]:
    """Alerts whose hold has reached its end."""
    return [row[0] for row in sql.execute("SELECT alert_id FROM holds WHERE until_ms <= ?", (now_ms,))]


def kind_of(sql: sqlite3.Connection, alert_id: str) -> Kind | None:
    """How an alert is held; None when it is not."""
    row = sql.execute("SELECT kind FROM holds WHERE alert_id = ?", (alert_id,)).fetchone()
    return None if row is None else row[0]


def until_ms(sql: sqlite3.Connection, alert_id: str) -> int | None:
    """When an alert's hold ends; None when it is not held."""
    row = sql.execute("SELECT until_ms FROM holds WHERE alert_id = ?", (alert_id,)).fetchone()
    return None if row is None else int(row[0])


def held(sql: sqlite3.Connection) -> list[str]:
    """Ids of the alerts that are held."""
    return [row[0] for row in sql.execute("SELECT alert_id FROM holds ORDER BY alert_id")]


def end_at(sql: sqlite3.Connection, until_ms: int) -> None:
    """The deployment ended: what a release puts back (rule 2) is not later than this."""
    sql.execute("UPDATE holds SET was_ms = ? WHERE was_ms > ?", (until_ms, until_ms))


def forget(sql: sqlite3.Connection, alert_id: str) -> None:
    """The alert is gone, or held no more."""
    sql.execute("DELETE FROM holds WHERE alert_id = ?", (alert_id,))
