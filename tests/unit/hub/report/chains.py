"""Devices' audit logs of scripted days, for tests of the reports: the truth is in the script, the log is real."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from device.audit.key import DeviceKey, device_key
from device.audit.log import Log
from device.audit.rows import Head, Links
from device.domain.audit_record import record
from device.domain.time import WallTime, wall
from tools.hub.report.audit_heads import FOLDER, SUFFIX


@dataclass
class Device:
    """One device that writes its log a row a minute and gives the hub its heads."""

    folder: Path
    hub: Path
    name: str
    now: WallTime
    boots: int = 0
    _links: Links = field(default_factory=lambda: Links("boot-0"))

    def __post_init__(self) -> None:
        self.key: DeviceKey = device_key(self.folder)
        self._log = Log(self.folder / "audit")

    @property
    def log(self) -> Path:
        return self.folder / "audit"

    def boot(self) -> None:
        """The program starts (again)."""
        self.boots += 1
        self._links.boot = f"boot-{self.boots}"
        self.note("started", version="0.2.0")

    def note(self, what: str, **fields: Any) -> None:
        """One row, a minute after the last."""
        self.now = wall(self.now + timedelta(minutes=1))
        self._log.append(self._links.add(record(what, **fields), self.now))

    def counts(self, *, faces: int, alerted: int, lost: int = 0, dark_ms: int = 0) -> None:
        """Totals of this start."""
        self.note(
            "counts",
            faces_seen=faces,
            discarded=faces - alerted - lost,
            lost=lost,
            alerted=alerted,
            alerted_by_worker=alerted,
            open=0,
            settled=True,
            sign_dark_ms=dark_ms,
        )

    def deployment(self, name: str, at: datetime, *, outcomes: list[str], faces: int) -> None:
        """A whole small deployment: alerts with these judgements (empty: nobody judged), and its end."""
        self.now = wall(at)
        self.boot()
        self.note("loaded", deployment=name, mode="operational")
        self.note("watchlist", watchlist=f"wl-{name}", subjects=1822, images=1900, threshold=0.52)
        self.note("state", was="armed", now="recognising")
        for number, outcome in enumerate(outcomes):
            alert = f"{name}-{number}"
            self.note("alert", alert=alert, camera="front")
            if outcome:
                self.note("judged", alert=alert, outcome=outcome)
            else:
                self.note("erased", what_gone="alert", count=1, reason="expiry", alert=alert)
        self.counts(faces=faces, alerted=len(outcomes))
        self.note("ended", deployment=name)
        self.head()

    def head(self) -> Head:
        """Sign, and let the hub keep the head."""
        line, head = self._links.head(self.now, self.key)
        self._log.append(line)
        self._log.keep_head(head)
        place = self.hub / FOLDER / f"{self.name}{SUFFIX}"
        place.parent.mkdir(parents=True, exist_ok=True)
        with place.open("ab") as kept:
            kept.write(msgspec.json.encode(head) + b"\n")
        return head
