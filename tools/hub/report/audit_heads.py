"""The signed heads of the devices' audit logs, kept where a device cannot reach them.

1. A head counts when the device's key signed it, and it goes on from the last one: the same key, a later row. Anything
   else is a problem that stays in the report; the head is kept all the same, as evidence.
2. Heads are appended to `audit/<device>.heads.jsonl`, one a line, which is what `lfr audit verify --head` reads. The
   first one pins the key, until somebody records that the device's state folder was replaced (`lfr device replaced`).
3. What the heads cannot show is whether the rows between them are whole: that takes the log itself.
"""

from __future__ import annotations

import contextlib
import logging
import os
from pathlib import Path

import msgspec

from device.audit.head_file import Replaced, read_line
from device.audit.rows import Head, genuine
from device.domain.time import WallTime, rfc3339
from device.hub_api.messages import AuditHead
from device.logs import event

_log = logging.getLogger(__name__)
FOLDER, SUFFIX = "audit", ".heads.jsonl"


class Heads:
    """Keeps heads in one folder. `take` is called on the console's loop; a head a minute and device is no load."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._last: dict[str, Head] = {}

    def take(self, device: str, said: AuditHead) -> str | None:
        """Keep a head; its problem as text, empty when there is none, None for one that is known already."""
        head = Head(**{name: getattr(said, name) for name in Head.__struct_fields__})
        last = self._last.get(device) or self._read(device)
        if head == last:
            return None
        problem = _problem(head, last)
        if problem and last is not None and head.key != last.key:
            last = self._read(device)  # a replacement may have been recorded since
            problem = _problem(head, last)
        if problem:
            event(_log, "hub.audit_head_refused", level=logging.ERROR, device=device, row=head.seq, problem=problem)
        self._append(device, head)
        if not problem:
            self._last[device] = head
        return problem

    def _read(self, device: str) -> Head | None:
        """The last good head of an earlier run."""
        last: Head | None = None
        for head in _rows(self._folder / f"{device}{SUFFIX}"):
            if isinstance(head, Replaced):
                last = None
            elif not _problem(head, last):
                last = head
        if last is not None:
            self._last[device] = last
        return last

    def replaced(self, device: str, at: WallTime, officer: str) -> bool:
        """Record that a device's state folder was replaced; False when there is no head of it to end."""
        if not _in(self._folder / f"{device}{SUFFIX}"):
            return False
        self._append(device, Replaced(replaced=rfc3339(at), officer=officer))
        return True

    def _append(self, device: str, head: Head | Replaced) -> None:
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            file = os.open(self._folder / f"{device}{SUFFIX}", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            try:
                os.write(file, msgspec.json.encode(head) + b"\n")
                os.fsync(file)
            finally:
                os.close(file)
        except OSError as fault:
            event(_log, "hub.audit_head_not_kept", level=logging.ERROR, device=device, reason=str(fault))


def kept_heads(hub: Path, device: str) -> list[Head]:
    """The heads that the hub in this folder has kept of a device's present log, in order of arrival.

    Those before the last recorded replacement of its state folder (rule 2) are of another log and another key.
    """
    rows = _rows(hub / FOLDER / f"{device}{SUFFIX}")
    last = max((place for place, row in enumerate(rows) if isinstance(row, Replaced)), default=-1)
    return [row for row in rows[last + 1 :] if isinstance(row, Head)]


def _in(file: Path) -> list[Head]:
    return [row for row in _rows(file) if isinstance(row, Head)]


def _rows(file: Path) -> list[Head | Replaced]:
    """What is in a file, without lines that cannot be read."""
    try:
        lines = file.read_bytes().splitlines()
    except OSError:
        return []
    rows: list[Head | Replaced] = []
    for line in lines:
        with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError):
            rows.append(read_line(line))
    return rows


def _problem(head: Head, last: Head | None) -> str:
    """Why a head does not count (rule 1); empty when it does."""
    if not genuine(head, head.key):
        return f"the head of row {head.seq} is not signed by its key"
    if last is None:
        return ""
    if head.key != last.key:
        return f"the head of row {head.seq} is signed by another key than the one known since row {last.seq}"
    if head.seq <= last.seq:
        return f"the log went back from row {last.seq} to row {head.seq}: rows were removed or rewritten"
    return ""
