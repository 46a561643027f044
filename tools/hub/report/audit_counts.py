"""Counts of one deployment from a device's signed audit log.

1. Only a log that verifies against the heads that the hub kept is counted. BadData says where another one breaks.
2. `counts` rows hold totals since the device's start; of each start the last row counts, less what was counted before
   the deployment was loaded.
3. An alert's last judgement counts, however often it was received.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from device.audit.log import FILE, lines_of, older_parts
from device.audit.rows import Row, read
from device.audit.verify import verify
from device.errors import BadData
from tools.hub.report.audit_heads import kept_heads

_TOTALS = ("faces_seen", "discarded", "lost", "alerted", "open")


@dataclass(slots=True)
class ChainCounts:
    """One deployment in one or more devices' logs. erasures: `what.reason` to count."""

    faces_seen: int = 0
    discarded: int = 0
    lost: int = 0
    alerted: int = 0
    open: int = 0
    recognising_s: float = 0.0
    refusals: int = 0
    first_at: str = ""
    last_at: str = ""
    subjects: int | None = None
    images: int | None = None
    threshold: float | None = None
    detector_sha256: str = ""
    recogniser_sha256: str = ""
    cameras: set[str] = field(default_factory=set)
    devices: list[str] = field(default_factory=list)
    alerts: set[str] = field(default_factory=set)
    judged: dict[str, str] = field(default_factory=dict)
    erasures: Counter[str] = field(default_factory=Counter)

    @property
    def outcomes(self) -> dict[str, int]:
        """Alerts by their last judgement; those without one are `not_adjudicated` once they are erased."""
        found = Counter(self.judged.values())
        for reason in ("expiry", "retention", "end_of_deployment"):
            found["not_adjudicated"] += self.erasures.get(f"unjudged alert.{reason}", 0)
        return {name: n for name, n in sorted(found.items()) if n}


def count_chain(hub: Path, device: str, log: Path, deployment: str, into: ChainCounts) -> None:
    """Add one device's log; rules 1 to 3. `log`: the folder of the log, or a copy of it."""
    heads = kept_heads(hub, device)
    if not heads:
        raise BadData(f"the hub has kept no signed head of {device}: its log cannot be verified")
    verdict = verify(log, heads[0].key, heads)
    if verdict.broken is not None:
        broken = verdict.broken
        raise BadData(f"audit log of {device} is not whole: {broken.file} line {broken.line}: {broken.text}")
    into.devices.append(device)
    _Reader(deployment, into).read(_rows(log))


def _rows(log: Path) -> Iterator[Row]:
    for file in (*older_parts(log), log / FILE):
        if file.exists():
            for line in lines_of(file):
                yield read(line.rstrip(b"\n"))


@dataclass(slots=True)
class _Reader:
    """Reads one device's log row by row."""

    deployment: str
    into: ChainCounts
    _inside: bool = False
    _boot: str = ""
    _before: dict[str, int] = field(default_factory=dict)
    _last: dict[str, int] = field(default_factory=dict)
    _recognising_since: str | None = None

    def read(self, rows: Iterator[Row]) -> None:
        for row in rows:
            if row.boot != self._boot:
                self._add_counts()
                self._recognising_until(None)
                self._boot, self._before, self._last = row.boot, {}, {}
            self._take(row)
        self._add_counts()

    def _take(self, row: Row) -> None:
        said, into = row.record, self.into
        if said.what == "loaded":
            self._add_counts()
            self._inside = said.deployment == self.deployment
            if self._inside:
                into.first_at = min(filter(None, (into.first_at, row.at)))
        elif said.what == "counts":
            self._last = {name: int(getattr(said, name) or 0) for name in _TOTALS}
            if not self._inside:
                self._before = self._last
        elif said.what == "ended" and self._inside:
            into.last_at = max(into.last_at, row.at)
            self._recognising_until(row.at)
            self._add_counts()
            self._inside = False
        elif said.what in ("judged", "erased") and said.alert is not None and said.alert in into.alerts:
            self._of_an_alert(row)
        elif self._inside:
            self._inside_one(row)

    def _of_an_alert(self, row: Row) -> None:
        said = row.record
        alert = said.alert or ""
        if said.what == "judged":
            self.into.judged[alert] = said.outcome or "unknown"
        elif said.count:
            self.into.erasures[f"{said.what_gone}.{said.reason}"] += said.count
            if alert not in self.into.judged:
                self.into.erasures[f"unjudged {said.what_gone}.{said.reason}"] += said.count

    def _inside_one(self, row: Row) -> None:
        said, into = row.record, self.into
        into.last_at = max(into.last_at, row.at)
        if said.what == "alert" and said.alert is not None:
            into.alerts.add(said.alert)
        elif said.what == "erased":
            into.erasures[f"{said.what_gone}.{said.reason}"] += said.count or 0
        elif said.what == "refused":
            into.refusals += 1
        elif said.what == "watchlist":
            into.subjects, into.images, into.threshold = said.subjects, said.images, said.threshold
        elif said.what == "engine":
            into.detector_sha256, into.recogniser_sha256 = said.detector_sha256 or "", said.recogniser_sha256 or ""
        elif said.what == "state":
            self._recognising_until(row.at)
            self._recognising_since = row.at if said.now == "recognising" else None
        if said.camera is not None:
            into.cameras.add(said.camera)

    def _recognising_until(self, at: str | None) -> None:
        """at: None when the program ended without a last row, so that the time since is not known and not counted."""
        if self._recognising_since is not None and at is not None:
            self.into.recognising_s += _seconds(self._recognising_since, at)
        self._recognising_since = None

    def _add_counts(self) -> None:
        """The totals of this start since the deployment was loaded (rule 2)."""
        if self._inside and self._last:
            for name in _TOTALS:
                before = self._before.get(name, 0)
                total = self._last[name] - (before if before <= self._last[name] else 0)
                setattr(self.into, name, getattr(self.into, name) + max(0, total))
        self._before, self._last = self._last or self._before, {}


def _seconds(begin: str, end: str) -> float:
    times = [datetime.fromisoformat(moment.replace("Z", "+00:00")) for moment in (begin, end)]
    return max(0.0, (times[1] - times[0]).total_seconds())
