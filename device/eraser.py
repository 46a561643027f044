"""The eraser: erases what is past its time, with or without a supervisor. Its own program: `python -m device.eraser`.

lfr-erase.timer starts it every minute. It reads the state folder only, needs the standard library alone, and works
while the supervisor runs, after it died, and after it was removed.

1. Before a deployment's secrets are stored on this device, an order is written: `erase/<deployment>.json` with the
   files and the time of their end. Without an order nothing is stored.
2. Identity and envelopes are listed first and deleted first; then the sealed list. Then a receipt is written, then the
   order is deleted: a power cut between any two of these is repaired by the next run.
3. An alert is erased at its own `delete_by`, or with the list when the order says so: key, rows and old pages, in one
   transaction that waits for a running supervisor's lock. Its receipt is recorded as `owed` in the same transaction.
   What is held is erased at its hold's end, unless the order is the tamper line's.
4. A clock that is set back postpones nothing. The time is the latest of: the last verified time
   (`erase/clock.stamp.json`) plus the time since in this boot; the order's own time plus the same; and, while no
   supervisor runs, the wall clock. Only verified time is stored, so a clock set far ahead has no lasting effect.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import shutil
import sqlite3
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from device.durable import flush_folder, make_folder, replace_file
from device.errors import Unavailable, UsageError, reason_of
from device.logs import configure, event

ORDERS, CLOCK, RECEIPT = "erase", "clock.stamp.json", ".receipt.json"
"""No deployment can take the place of the last two: there is no dot in its id."""
OUTBOX, LOCK_WAIT_S, DAY_MS = "outbox.sqlite", 10.0, 86_400_000
FIELDS = {"deployment", "files", "end_ms", "mode", "subjects", "reason", "all_alerts"}
OWED = "CREATE TABLE IF NOT EXISTS owed (alert_id TEXT PRIMARY KEY, reason TEXT NOT NULL) WITHOUT ROWID"
HOLDS = (
    "CREATE TABLE IF NOT EXISTS holds (alert_id TEXT PRIMARY KEY, kind TEXT NOT NULL, until_ms INTEGER NOT NULL,"
    " was_ms INTEGER NOT NULL) WITHOUT ROWID"
)
"""Alerts under an evidence or complaint hold (device/outbox/holds.py); their `delete_by_ms` is the hold's end."""
_log = logging.getLogger(__name__)


def erase(state_dir: Path, wall_ms: int | None) -> int:
    """Erase what is due; the number of items. wall_ms: the wall clock, None while a supervisor runs (rule 4).

    A failure does not stop the rest; Unavailable at the end names what could not be erased.
    """
    left: list[str] = []
    verified, done, due = _since(_read(state_dir / ORDERS / CLOCK)), 0, {}
    for file in sorted((state_dir / ORDERS).glob("*.json")):
        order = _read(file)
        if file.name == CLOCK or file.name.endswith(RECEIPT):
            continue
        if not order.keys() >= FIELDS:
            left.append(f"an order that cannot be read: {file.name}")
        elif max(verified, _since(order), wall_ms or 0) >= order["end_ms"]:
            due[file] = order
            done += _delete(order, left)
    everything = any(order["all_alerts"] for order in due.values())
    try:
        tampered = any(order["all_alerts"] and order["reason"] == "tamper" for order in due.values())
        done += _erase_alerts(state_dir / OUTBOX, max(verified, wall_ms or 0), everything, held_too=tampered)
    except (sqlite3.Error, OSError) as fault:
        left.append(f"alerts ({fault})")
    advance(state_dir, verified)
    if left:
        raise Unavailable(f"past its time and not erased in {state_dir}: {', '.join(left)}")
    for file, order in due.items():
        receipt = {key: order[key] for key in ("deployment", "mode", "subjects", "reason")}
        _replace(file.with_name(order["deployment"] + RECEIPT), receipt | {"at_ms": max(verified, _since(order))})
        file.unlink()
        flush_folder(file.parent)
    return done


def _delete(order: dict[str, Any], left: list[str]) -> int:
    """Delete the files of one order, in its order; a failure is named in `left` and does not stop the rest (rule 2)."""
    gone = 0
    for path in map(Path, order["files"]):
        try:
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            elif os.path.lexists(path):
                path.unlink()
            else:
                continue
            flush_folder(path.parent)
            gone += 1
            event(_log, "eraser.deleted", deployment=order["deployment"], file=path.name)
        except OSError as fault:
            left.append(f"{path} ({reason_of(fault)})")
    return gone


def _erase_alerts(outbox: Path, now_ms: int, everything: bool, *, held_too: bool) -> int:
    """Erase alerts past their time (rule 3), and set-aside outboxes after a day: their times cannot be read."""
    for broken in outbox.parent.glob(f"{outbox.name}.broken-*"):
        if now_ms - broken.stat().st_mtime * 1000 > DAY_MS:
            broken.unlink(missing_ok=True)
    if not outbox.exists():
        return 0
    with closing(sqlite3.connect(f"file:{outbox}?mode=rw", timeout=LOCK_WAIT_S, isolation_level=None, uri=True)) as sql:
        sql.execute("PRAGMA secure_delete=ON")
        sql.execute("BEGIN IMMEDIATE")
        now_ms = max(now_ms, sql.execute("SELECT latest_ms FROM clock").fetchone()[0])
        sql.execute(HOLDS)
        due = "SELECT alert_id FROM keys" if everything else "SELECT DISTINCT alert_id FROM messages WHERE alert_id IS"
        due += "" if everything else f" NOT NULL AND delete_by_ms <= {now_ms:d}"
        if everything and not held_too:
            due += f" WHERE alert_id NOT IN (SELECT alert_id FROM holds WHERE until_ms > {now_ms:d})"
        alerts = sql.execute(due).fetchall()
        if everything:  # what is held goes with its release
            sql.execute(f"UPDATE holds SET was_ms = {now_ms:d} WHERE was_ms > {now_ms:d}")
        if alerts:
            sql.execute(OWED)
            reason = "end_of_deployment" if everything else "retention"
            sql.executemany(f"INSERT OR REPLACE INTO owed VALUES (?, '{reason}')", alerts)
            sql.executemany(f"INSERT OR IGNORE INTO erased VALUES (?, {now_ms + 31 * DAY_MS:d})", alerts)
            sql.executemany("DELETE FROM keys WHERE alert_id = ?", alerts)
            sql.executemany("DELETE FROM messages WHERE alert_id = ?", alerts)
            sql.executemany("DELETE FROM holds WHERE alert_id = ?", alerts)
        sql.execute("COMMIT")
        if alerts:
            sql.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            event(_log, "eraser.alerts", count=len(alerts))
        return len(alerts)


def place(state_dir: Path, deployment: str, files: Sequence[Path], end_ms: int, now_ms: int, **options: Any) -> None:
    """Write or replace an order (rule 1). options: mode, subjects, reason (`expiry`), all_alerts (as rule 3)."""
    order = {"deployment": deployment, "files": [str(file.absolute()) for file in files], "end_ms": end_ms}
    order |= {"mode": None, "subjects": 0, "reason": "expiry", "all_alerts": False} | options
    make_folder(state_dir / ORDERS)
    _replace(state_dir / ORDERS / f"{deployment}.json", order | _stamp(now_ms))


def ordered(state_dir: Path, deployment: str) -> dict[str, Any]:
    """The order for a deployment; empty when there is none that can be read."""
    return _read(state_dir / ORDERS / f"{deployment}.json")


def advance(state_dir: Path, verified_ms: int) -> int:
    """Store a verified time (rule 4); it never goes back. Returns the present time."""
    known = max(verified_ms, _since(_read(state_dir / ORDERS / CLOCK)))
    if known and (state_dir / ORDERS).is_dir():
        _replace(state_dir / ORDERS / CLOCK, _stamp(known))
    return known


def verified(state_dir: Path) -> int:
    """The verified time that is stored, with the time since in this boot; 0 without one."""
    return _since(_read(state_dir / ORDERS / CLOCK))


def set_verified(state_dir: Path, now_ms: int) -> None:
    """Replace the stored time by an earlier one (`lfr clock recover`), after `erase` with the later one."""
    if (state_dir / ORDERS / CLOCK).exists():
        _replace(state_dir / ORDERS / CLOCK, _stamp(now_ms))


def _replace(file: Path, content: dict[str, Any]) -> None:
    """Write an order, a receipt or the clock so that a power cut leaves the old file or the new one."""
    replace_file(file, json.dumps(content).encode())


def _stamp(now_ms: int) -> dict[str, Any]:
    boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return {"now_ms": now_ms, "boot": boot, "boottime_ms": time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000}


def _since(stamp: dict[str, Any]) -> int:
    """The time of a stamp plus the time since in this boot; its own time when it is of another boot."""
    now = _stamp(0)
    same = stamp.get("boot") == now["boot"]
    return int(stamp.get("now_ms", 0)) + (now["boottime_ms"] - int(stamp["boottime_ms"]) if same else 0)


def _read(file: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, RecursionError):
        return {}


def _supervised(run_dir: Path) -> bool:
    """Whether a supervisor holds the run folder."""
    try:
        with (run_dir / "lock").open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def main(argv: list[str]) -> int:
    """`python -m device.eraser STATE_DIR RUN_DIR`: 0, or 69 when something past its time could not be erased."""
    configure()
    try:
        if len(argv) != 2:
            raise UsageError("give the state folder and the run folder")
        erase(Path(argv[0]), None if _supervised(Path(argv[1])) else round(time.time() * 1000))
    except (Unavailable, UsageError, OSError) as fault:
        event(_log, "eraser.failed", level=logging.ERROR, problem=str(fault))
        return getattr(fault, "exit_status", 69)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
