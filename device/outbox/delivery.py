"""When a message counts as delivered, and when it is tried again; SQL on the outbox's file."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass

from device.domain.time import NS_PER_S, MonotonicNs
from device.outbox.retry import CONFIRM_WITHIN_S, HUB_CONFIRMS_WITHIN_S, POLICIES, MessageClass


@dataclass(slots=True)
class Try:
    """When a waiting row may be tried (again), in this process's monotonic time."""

    attempts: int = 0
    not_before: int = 0


Tries = dict[str, Try]
CONFIRMED = tuple(kind.value for kind, policy in POLICIES.items() if policy.confirmed)


def sent(tries: Tries, message_id: str, monotonic: MonotonicNs) -> None:
    """It was handed to the broker: wait for its report."""
    tries.setdefault(message_id, Try()).not_before = monotonic + round(CONFIRM_WITHIN_S * NS_PER_S)


def report(
    sql: sqlite3.Connection,
    tries: Tries,
    message_id: str,
    *,
    accepted: bool,
    acknowledged: bool,
    hub_confirms: bool,
    monotonic: MonotonicNs,
) -> bool:
    """The broker's report of a try; True once the message counts as delivered (device.outbox.store, rule 3)."""
    row = sql.execute("SELECT kind FROM messages WHERE id = ? AND state = 'waiting'", (message_id,)).fetchone()
    if row is None:
        tries.pop(message_id, None)
        return False
    kind = row[0]
    policy = POLICIES[MessageClass(kind)]
    heard = accepted and acknowledged
    if not heard or (policy.confirmed and hub_confirms):
        attempt = tries.setdefault(message_id, Try())
        attempt.attempts += 1
        least_ns = round(HUB_CONFIRMS_WITHIN_S * NS_PER_S) if heard else 0
        attempt.not_before = monotonic + max(least_ns, policy.wait_ns(attempt.attempts))
        if not heard:
            count(sql, f"unheard.{kind}" if accepted else f"refused.{kind}")
        return False
    tries.pop(message_id, None)
    count(sql, f"delivered.{kind}")
    if policy.kept:
        sql.execute("UPDATE messages SET state = 'delivered' WHERE id = ?", (message_id,))
    else:
        sql.execute("DELETE FROM messages WHERE id = ?", (message_id,))
    return True


def confirmed(sql: sqlite3.Connection, tries: Tries, message_ids: Iterable[str]) -> int:
    """Delete the receipts and counts among them: the hub has them on its disk; how many there were."""
    gone = []
    for message_id in message_ids:
        tries.pop(message_id, None)
        gone += sql.execute(
            f"DELETE FROM messages WHERE id = ? AND kind IN ({','.join('?' * len(CONFIRMED))}) RETURNING kind",
            (message_id, *CONFIRMED),
        ).fetchall()
    for (kind,) in gone:
        count(sql, f"delivered.{kind}")
    return len(gone)


def count(sql: sqlite3.Connection, name: str) -> None:
    """One more of `name` in the tally."""
    sql.execute("INSERT INTO tally VALUES (?, 1) ON CONFLICT (name) DO UPDATE SET n = n + 1", (name,))
