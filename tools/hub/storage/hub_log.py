"""The hub's own audit log: requests of people, sessions, totals of the blue list. Chained and signed like a device's.

1. It lies in `audit/hub/audit`, with a key of its own in `audit/hub`; `lfr audit verify DIR/audit/hub/audit` checks it.
2. Each row is followed by a signed head, so that nothing in it is unsigned. Rows are rare.
3. The hub and a command may write at the same time: a lock on the folder, and the chain's end is read anew each time.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import Any

from device.audit.key import device_key
from device.audit.log import FOLDER, Log
from device.audit.rows import Links
from device.domain.audit_record import record
from device.domain.time import WallTime
from device.errors import Unavailable
from device.hub_api.identifiers import uuid7

PLACE = Path("audit") / "hub"


OWN = PLACE.name
"""How a report names this log among those of devices; the name is reserved (device/hub_api/topics.py)."""


def folder_of(hub: Path) -> Path:
    """Where the rows of that hub's log are."""
    return hub / PLACE / FOLDER


class HubLog:
    """The log in one hub's folder. boot: this run of the program."""

    def __init__(self, hub: Path, now: WallTime) -> None:
        self._state = hub / PLACE
        self._boot = uuid7(now)

    @property
    def folder(self) -> Path:
        """Where the rows are."""
        return self._state / FOLDER

    def note(self, what: str, at: WallTime, **fields: Any) -> None:
        """Write one row and its head (rules 2 and 3). Raises Unavailable when the disk refuses."""
        try:
            self._state.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = os.open(self._state, os.O_RDONLY)
        except OSError as fault:
            raise Unavailable(f"{self._state} cannot be written: {fault.strerror}") from fault
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            key, log = device_key(self._state), Log(self.folder)
            try:
                links = Links(self._boot, log.found.seq, log.found.prev)
                first = links.add(record("began"), at) if not log.found.seq else b""
                line = links.add(record(what, **fields), at)
                signed, head = links.head(at, key)
                log.append(first + line + signed)
                log.keep_head(head)
            finally:
                log.close()
        finally:
            os.close(lock)
