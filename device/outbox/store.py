"""The durable outbox: messages for the hub are kept until delivered; personal data is never kept past its time.

1. `put` returns after the row is on disk. A later revision of an alert replaces the earlier one of the same kind.
2. Bodies of alerts and probes are encrypted under one random key per alert; an alert is erased by deleting its key.
3. Delivered means: accepted by the broker while the hub was online (the caller knows; the broker's report of a
   subscriber alone does not prove it). Receipts and counts are delivered only when the hub has confirmed them, if it
   confirms at all: a broker or a hub that dies with a message in memory loses nothing.
4. Delivered alerts and probes are kept until their `delete_by`; all else is deleted on delivery.
5. An erased alert stays erased: a revision or probe that arrives later is refused.
6. A clock that moves back never postpones an erasure: the latest trusted time counts.
7. With `log_first` an alert is due only when it is logged (unlogged.py), or released because the log refuses it.
8. An erased alert is owed a receipt (`device.eraser.OWED`) from the transaction that erases it until the receipt is
   stored: a program that dies between the two stores it when it starts again.
9. What is held (holds.py) stays until its hold ends, at the end of the deployment, too.

One thread at a time, all calls short. Raises Unavailable on a disk error; the caller logs it and goes on.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta, timezone
from pathlib import Path

from device.domain.retention import CEILING_DAYS
from device.domain.time import MonotonicNs, WallTime
from device.errors import Unavailable, reason_of
from device.outbox import delivery, room, sealing, unlogged
from device.outbox import file as outbox_file
from device.outbox import holds as outbox_holds
from device.outbox.message import Due, ErasedAlert, OutboxMessage
from device.outbox.retry import POLICIES, MessageClass

MAX_ROWS = 5_000
MAX_BYTES = 256_000_000
FALSE_ALERT, TAMPER = "false_alert", "tamper"
CLOCK_STEP_MS = 60_000
"""The latest trusted time is written at most this often, to spare the flash."""


class Outbox:
    """Messages on their way to the hub, in one SQLite file."""

    def __init__(
        self,
        path: Path,
        now: WallTime,
        *,
        max_rows: int = MAX_ROWS,
        max_bytes: int = MAX_BYTES,
        log_first: bool = False,
    ) -> None:
        """Open or make the file (a broken one is set aside); undelivered messages of the last run wait again."""
        self.path = path
        self._log_first = log_first
        self._max_rows = max_rows
        self._max_bytes = max_bytes
        self._tries: delivery.Tries = {}
        self._released: set[str] = set()
        self._reported: set[str] = set()
        self._database = outbox_file.open_database(path, now)

    def put(self, message: OutboxMessage) -> bool:
        """Keep a message and its probe, both or none; False if its alert was erased or is here later (rules 1, 5)."""
        with self._change() as sql:
            kept = self._put(sql, message)
            if message.probe is not None:
                self._put(sql, message.probe)
        return kept

    def _put(self, sql: sqlite3.Connection, message: OutboxMessage) -> bool:
        policy = POLICIES[message.kind]
        if policy.sealed and message.alert_id is None:
            raise ValueError(f"a {message.kind.value} message needs its alert id")
        if message.alert_id is not None and not self._admit(sql, message, message.alert_id):
            return False
        body = message.payload
        if policy.sealed and message.alert_id is not None:
            body = sealing.seal(sealing.key_of(sql, message.alert_id), body, message.id.encode())
        self._make_room(sql, len(body))
        held_until = None if message.alert_id is None else outbox_holds.until_ms(sql, message.alert_id)
        times = (
            None if message.expires_at is None else _ms(message.expires_at),
            _ms(message.delete_by) if held_until is None else held_until,
        )
        to = (message.id, message.kind.value, message.topic, message.content_type, message.qos)
        sql.execute(
            "INSERT INTO messages (id, kind, topic, content_type, qos, alert_id, revision, body, state, expires_ms,"
            " delete_by_ms) VALUES (?,?,?,?,?,?,?,?,'waiting',?,?)",
            (*to, message.alert_id, message.revision, body, *times),
        )
        delivery.count(sql, f"put.{message.kind.value}")
        if message.receipt_of is not None:
            sql.execute("DELETE FROM owed WHERE alert_id = ?", (message.receipt_of,))
        if self._log_first:
            unlogged.add(sql, message.kind, message.alert_id, message.revision)
        return True

    def due(self, now: WallTime, monotonic: MonotonicNs, limit: int = 16) -> list[Due]:
        """What may be published now, alerts before probes before the rest, oldest first; unexpired only."""
        order = {kind.value: n for n, kind in enumerate(MessageClass)}
        with self._reading() as sql:
            rows = sql.execute(
                "SELECT id, kind, place, alert_id FROM messages"
                " WHERE state = 'waiting' AND (expires_ms IS NULL OR expires_ms > ?)",
                (_ms(now),),
            ).fetchall()
            held = set(unlogged.alerts(sql)) - self._released
            free = [r for r in rows if r[3] not in held]
            ready = [r for r in free if r[0] not in self._tries or self._tries[r[0]].not_before <= monotonic]
            chosen = [r[0] for r in sorted(ready, key=lambda r: (order[r[1]], r[2]))[:limit]]
            return [message for message in (self._load(sql, row_id) for row_id in chosen) if message is not None]

    def unlogged(self) -> list[str]:
        """Alerts that are stored and not logged (rule 7)."""
        with self._reading() as sql:
            return unlogged.alerts(sql)

    def logged(self, alert_ids: list[str], *, on_disk: bool) -> None:
        """They may be published now (rule 7). on_disk: their audit rows are safe; else they are logged again later."""
        self._released |= set(alert_ids)
        if on_disk:
            with self._change() as sql:
                unlogged.remove(sql, alert_ids)
            self._released -= set(alert_ids)

    def sent(self, message_id: str, monotonic: MonotonicNs) -> None:
        """The broker accepted it: wait for its report, and retry if none comes within CONFIRM_WITHIN_S."""
        delivery.sent(self._tries, message_id, monotonic)

    def report(
        self,
        message_id: str,
        *,
        accepted: bool,
        acknowledged: bool,
        monotonic: MonotonicNs,
        hub_confirms: bool = False,
    ) -> bool:
        """The result of a try; True once it counts as delivered (rule 3). An unknown or erased id is False."""
        terms = {"accepted": accepted, "acknowledged": acknowledged, "hub_confirms": hub_confirms}
        with self._change() as sql:
            return delivery.report(sql, self._tries, message_id, monotonic=monotonic, **terms)

    def confirmed(self, message_ids: Iterable[str]) -> int:
        """The hub has these receipts and counts on its disk (rule 3): they go; how many there were."""
        with self._change() as sql:
            return delivery.confirmed(sql, self._tries, message_ids)

    def retry_now(self) -> None:
        """A new session: everything that waits may be tried at once, back-off starts anew."""
        self._tries.clear()

    def deliver_again(self) -> int:
        """The hub returned, perhaps after a kill: what it acknowledged is sent again; the number of rows.

        A hub that still has an alert ignores the repetition, by its id and revision.
        """
        with self._change() as sql:
            self._tries.clear()
            return sql.execute(
                "UPDATE messages SET state = 'waiting', expires_ms = delete_by_ms WHERE state = 'delivered'"
                " AND alert_id NOT IN (SELECT alert_id FROM holds)"
            ).rowcount

    def end_at(self, delete_by: WallTime) -> int:
        """The deployment ended: no alert is kept longer than this; the number of messages changed."""
        with self._change() as sql:
            outbox_holds.end_at(sql, _ms(delete_by))
            return sql.execute(
                "UPDATE messages SET delete_by_ms = ?, expires_ms = min(coalesce(expires_ms, ?), ?)"
                " WHERE alert_id IS NOT NULL AND alert_id NOT IN (SELECT alert_id FROM holds) AND delete_by_ms > ?",
                (_ms(delete_by),) * 4,
            ).rowcount

    def erase_alert(self, alert_id: str, reason: str) -> ErasedAlert:
        """Erase one alert, its probe and its key, whatever their state; also when nothing of it is here (yet).

        A false alert that is held for a complaint stays.
        """
        with self._change(erasing=True) as sql:
            if reason == FALSE_ALERT and outbox_holds.kind_of(sql, alert_id) == "complaint":
                return ErasedAlert(alert_id, reason, 0, existed=False)
            return self._erase(sql, alert_id, reason)

    def erase_all(self, reason: str) -> list[ErasedAlert]:
        """Erase every alert that is not held: end of deployment. The tamper line erases held ones, too."""
        with self._change(erasing=True) as sql:
            kept = set() if reason == TAMPER else set(outbox_holds.held(sql))
            alerts = sql.execute("SELECT alert_id FROM keys").fetchall()
            return [self._erase(sql, alert_id, reason) for (alert_id,) in alerts if alert_id not in kept]

    def hold(self, alert_id: str, kind: outbox_holds.Kind, until: WallTime) -> bool:
        """Keep an alert until then; False when it is not here."""
        with self._change() as sql:
            return outbox_holds.hold(sql, alert_id, kind, _ms(until))

    def release(self, alert_id: str, now: WallTime, *, clock_trusted: bool) -> list[ErasedAlert]:
        """End a hold: the alert goes at its ordinary time, now if that is over."""
        with self._change(erasing=True) as sql:
            if not outbox_holds.release(sql, alert_id, _latest(sql, _ms(now), clock_trusted)):
                return []
            return [self._erase(sql, alert_id, outbox_holds.END_OF_HOLD)]

    def erase_undelivered(self, concerns: Callable[[bytes], bool], reason: str) -> list[ErasedAlert]:
        """Erase every waiting alert or count for which `concerns`, given the plain payload, is true; the alerts."""
        with self._change(erasing=True) as sql:
            waiting = "SELECT id, alert_id FROM messages WHERE kind IN ('alert', 'count') AND state = 'waiting'"
            found = [(*row, self._load(sql, row[0])) for row in sql.execute(waiting).fetchall()]
            named = [(row_id, alert) for row_id, alert, due in found if due is not None and concerns(due.payload)]
            unsealed = [(row_id,) for row_id, alert in named if alert is None]
            sql.executemany("DELETE FROM messages WHERE id = ?", unsealed)
            return [self._erase(sql, alert, reason) for _, alert in named if alert is not None]

    def erase_expired(self, now: WallTime, *, clock_trusted: bool) -> list[ErasedAlert]:
        """Erase what is past its time: `retention` at delete_by, `expiry` for alerts that were never acknowledged.

        What is owed a receipt (rule 8) is included, once: erased by the eraser, or in an earlier run. Expired messages
        without personal data have no receipt.
        Cheap when there is nothing to do; call it every few seconds.
        """
        with self._change() as sql:
            now_ms = _latest(sql, _ms(now), clock_trusted)
            gone = [self._erase(sql, held, outbox_holds.END_OF_HOLD) for held in outbox_holds.over(sql, now_ms)]
            overdue = sql.execute(
                "SELECT DISTINCT alert_id FROM messages WHERE alert_id IS NOT NULL AND delete_by_ms <= ?", (now_ms,)
            ).fetchall()
            gone += [self._erase(sql, alert_id, "retention") for (alert_id,) in overdue]
            expired = sql.execute(
                "SELECT id, kind, alert_id FROM messages"
                " WHERE state = 'waiting' AND (expires_ms <= ? OR delete_by_ms <= ?)"
                " AND (alert_id IS NULL OR alert_id NOT IN (SELECT alert_id FROM holds))",
                (now_ms, now_ms),
            ).fetchall()
            for row_id, kind, _ in expired:
                sql.execute("DELETE FROM messages WHERE id = ?", (row_id,))
                self._tries.pop(row_id, None)
                delivery.count(sql, f"expired.{kind}")
            for alert_id in {row[2] for row in expired if row[2] is not None}:
                left = sql.execute(
                    "SELECT count(*) FROM messages WHERE alert_id = ? AND kind = 'alert'", (alert_id,)
                ).fetchone()[0]
                if not left:
                    gone.append(self._erase(sql, alert_id, "expiry"))
            for alert_id, reason in sql.execute("SELECT alert_id, reason FROM owed").fetchall():
                if alert_id not in self._reported:
                    self._reported.add(alert_id)
                    delivery.count(sql, f"erased.{reason}")
                    gone.append(ErasedAlert(alert_id, reason, 0))
            sql.execute("DELETE FROM erased WHERE forget_ms <= ?", (now_ms,))
        outbox_file.delete_set_aside(self.path, now)
        if gone:
            outbox_file.truncate_wal(self._database)
        return gone

    def require_room(self) -> None:
        """Raise Unavailable while the outbox cannot take another message; it writes its own clock again to find out."""
        with self._change() as sql:
            self._make_room(sql, 0)
            sql.execute("UPDATE clock SET latest_ms = latest_ms")

    def tally(self) -> dict[str, int]:
        """Counts without personal data: `put.`, `delivered.`, … by class, `erased.` by reason."""
        with self._reading() as sql:
            return dict(sql.execute("SELECT name, n FROM tally ORDER BY name").fetchall())

    def waiting(self) -> dict[MessageClass, int]:
        """How many messages of each class wait for delivery."""
        with self._reading() as sql:
            found = dict(
                sql.execute("SELECT kind, count(*) FROM messages WHERE state = 'waiting' GROUP BY kind").fetchall()
            )
        return {kind: int(found.get(kind.value, 0)) for kind in MessageClass}

    def alerts_held(self) -> list[str]:
        """Ids of the alerts whose key is here."""
        with self._reading() as sql:
            return [row[0] for row in sql.execute("SELECT alert_id FROM keys ORDER BY alert_id")]

    def under_hold(self) -> list[str]:
        """Ids of those that an evidence or complaint hold keeps."""
        with self._reading() as sql:
            return outbox_holds.held(sql)

    def close(self) -> None:
        self._database.close()

    def delete_file(self) -> None:
        """Close and delete the file itself, set-aside ones too: at the end of a demonstration.

        A failure stops no other deletion. Raises Unavailable with the files that remain.
        """
        left = []
        with suppress(sqlite3.Error):
            self.close()
        for file in (*outbox_file.files_of(self.path), *outbox_file.set_aside_files(self.path)):
            try:
                file.unlink(missing_ok=True)
            except OSError as fault:
                left.append(f"{file.name} ({reason_of(fault)})")
        if left:
            raise Unavailable(f"still in {self.path.parent}: {', '.join(left)}; delete by hand")

    def _admit(self, sql: sqlite3.Connection, message: OutboxMessage, alert_id: str) -> bool:
        if sql.execute("SELECT 1 FROM erased WHERE alert_id = ?", (alert_id,)).fetchone():
            delivery.count(sql, "late.refused")
            return False
        same = (alert_id, message.kind.value)
        newest = sql.execute("SELECT max(revision) FROM messages WHERE alert_id = ? AND kind = ?", same).fetchone()[0]
        if newest is not None and newest >= message.revision:
            return False
        for (row_id,) in sql.execute("SELECT id FROM messages WHERE alert_id = ? AND kind = ?", same).fetchall():
            self._tries.pop(row_id, None)
            sql.execute("DELETE FROM messages WHERE id = ?", (row_id,))
        return True

    def _load(self, sql: sqlite3.Connection, row_id: str) -> Due | None:
        columns = "kind, topic, content_type, qos, alert_id, body, expires_ms"
        row = sql.execute(f"SELECT {columns} FROM messages WHERE id = ?", (row_id,)).fetchone()
        if row is None:  # the eraser has erased it meanwhile
            return None
        kind, topic, content_type, qos, alert_id, body, expires_ms = row
        if POLICIES[MessageClass(kind)].sealed:
            key = sql.execute("SELECT key FROM keys WHERE alert_id = ?", (alert_id,)).fetchone()
            body = None if key is None else sealing.open_sealed(key[0], body, row_id.encode())
        if body is None:
            sql.execute("DELETE FROM messages WHERE id = ?", (row_id,))
            delivery.count(sql, f"unreadable.{kind}")
            return None
        return Due(row_id, MessageClass(kind), topic, body, content_type, qos, _wall(expires_ms))

    def _erase(self, sql: sqlite3.Connection, alert_id: str, reason: str) -> ErasedAlert:
        ids = [row[0] for row in sql.execute("SELECT id FROM messages WHERE alert_id = ?", (alert_id,))]
        outbox_holds.forget(sql, alert_id)
        existed = sql.execute("DELETE FROM keys WHERE alert_id = ?", (alert_id,)).rowcount > 0
        sql.execute("DELETE FROM messages WHERE alert_id = ?", (alert_id,))
        latest = sql.execute("SELECT latest_ms FROM clock").fetchone()[0]
        forget_ms = latest + round(timedelta(days=CEILING_DAYS).total_seconds() * 1000)
        first_time = sql.execute("INSERT OR IGNORE INTO erased VALUES (?, ?)", (alert_id, forget_ms)).rowcount
        if first_time and existed:
            delivery.count(sql, f"erased.{reason}")
            sql.execute("INSERT OR REPLACE INTO owed VALUES (?, ?)", (alert_id, reason))
            self._reported.add(alert_id)
        for row_id in ids:
            self._tries.pop(row_id, None)
        return ErasedAlert(alert_id, reason, len(ids), existed)

    def _make_room(self, sql: sqlite3.Connection, needed: int) -> None:
        for row_id, kind in room.given_up(sql, needed, rows=self._max_rows, size=self._max_bytes):
            self._tries.pop(row_id, None)
            delivery.count(sql, f"room.{kind.value}")

    @contextmanager
    def _change(self, erasing: bool = False) -> Iterator[sqlite3.Connection]:
        """One transaction; when erasing, old pages are removed from the WAL as well before it returns."""
        with self._reading() as sql:
            sql.execute("BEGIN IMMEDIATE")
            try:
                yield sql
            except BaseException:
                sql.execute("ROLLBACK")
                raise
            sql.execute("COMMIT")
            if erasing:
                outbox_file.truncate_wal(sql)

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        try:
            yield self._database
        except sqlite3.Error as fault:
            raise Unavailable(f"outbox {self.path}: {fault}") from fault


def _latest(sql: sqlite3.Connection, now_ms: int, trusted: bool) -> int:
    """The latest of all trusted times (rule 6)."""
    latest = int(sql.execute("SELECT latest_ms FROM clock").fetchone()[0])
    if trusted and now_ms > latest + CLOCK_STEP_MS:
        sql.execute("UPDATE clock SET latest_ms = ?", (now_ms,))
    return max(latest, now_ms)


def _ms(moment: WallTime) -> int:
    return round(moment.timestamp() * 1000)


def _wall(ms: int | None) -> WallTime | None:
    return None if ms is None else WallTime(datetime.fromtimestamp(ms / 1000, timezone.utc))
