"""Counts of one deployment from devices' signed audit logs.

1. Only a log that verifies against the heads that the hub kept is counted. BadData says where another one breaks.
2. `counts` rows hold totals since the device's start; of each start the last row counts, less what was counted before
   the deployment was loaded. A start that was killed has no last row: `killed` counts it, and what its device saw
   after the last one (KILLED_UNCOUNTED_S at most) is in no number.
3. Recognition lasted while at least one device recognised. Of a start that was killed it is known up to its last row.
4. An alert's last judgement counts, and its last engagement and disposition, however often they were received. An
   arrest after *confirmed: another person* is unrelated to the match.
5. What a log of an older program does not hold (engagements, the sign's dark time) is None, not 0.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from device.audit.head_file import read_heads
from device.audit.log import FILE, lines_of, older_parts, read_head
from device.audit.rows import Head, Row, read
from device.audit.verify import verify
from device.errors import BadData
from device.supervisor.timing import AUDIT_COUNTS_S, AUDIT_COUNTS_SETTLE_S
from tools.hub.report.audit_heads import FOLDER, SUFFIX

_TOTALS = ("faces_seen", "discarded", "lost", "alerted", "open", "sign_dark_ms")
UNRELATED = "arrest_unrelated"
KILLED_UNCOUNTED_S = AUDIT_COUNTS_S + AUDIT_COUNTS_SETTLE_S


@dataclass(slots=True)
class ChainCounts:
    """One deployment in one or more devices' logs.

    recognising  from when to when, of each device
    cameras   as DEVICE/CAMERA
    ended     devices whose log has its end
    erasures  `what.reason` to count;  heads: by device, the newest
    """

    faces_seen: int = 0
    discarded: int = 0
    lost: int = 0
    alerted: int = 0
    open: int = 0
    killed: int = 0
    sign_dark_ms: int = 0
    sign_dark_known: bool = True
    recognising: list[tuple[datetime, datetime]] = field(default_factory=list)
    refusals: int = 0
    first_at: str = ""
    last_at: str = ""
    mode: str | None = None
    subjects: int | None = None
    images: int | None = None
    threshold: float | None = None
    detector_sha256: str = ""
    recogniser_sha256: str = ""
    cameras: set[str] = field(default_factory=set)
    devices: list[str] = field(default_factory=list)
    ended: set[str] = field(default_factory=set)
    heads: dict[str, Head] = field(default_factory=dict)
    alerts: set[str] = field(default_factory=set)
    judged: dict[str, str] = field(default_factory=dict)
    engaged: dict[str, str] = field(default_factory=dict)
    disposed: dict[str, str] = field(default_factory=dict)
    held: set[str] = field(default_factory=set)
    gone: set[str] = field(default_factory=set)
    erasures: Counter[str] = field(default_factory=Counter)

    @property
    def recognising_s(self) -> float:
        """How long at least one device recognised (rule 3)."""
        total, until = 0.0, None
        for begin, end in sorted(self.recognising):
            begin = begin if until is None else max(begin, until)
            total += max(0.0, (end - begin).total_seconds())
            until = end if until is None else max(end, until)
        return total

    @property
    def outcomes(self) -> dict[str, int]:
        """Alerts by their last judgement; those without one are `not_adjudicated` once they are erased."""
        found = Counter(self.judged.values())
        found["not_adjudicated"] += sum(n for name, n in self.erasures.items() if name.startswith("unjudged alert."))
        return {name: n for name, n in sorted(found.items()) if n}

    @property
    def engagements(self) -> Counter[str]:
        """Alerts by their last engagement."""
        return Counter(self.engaged.values())

    @property
    def dispositions(self) -> Counter[str]:
        """Alerts by their last disposition; an arrest of another person is `arrest_unrelated` (rule 4)."""
        found: Counter[str] = Counter()
        for alert, outcome in self.disposed.items():
            other = outcome == "arrest" and self.engaged.get(alert) == "confirmed_false"
            found[UNRELATED if other else outcome] += 1
        return found

    @property
    def uncounted_s(self) -> float:
        """How long devices may have seen people who are in no number, at most (rule 2)."""
        return self.killed * KILLED_UNCOUNTED_S

    @property
    def balanced(self) -> bool:
        return self.faces_seen == self.discarded + self.lost + self.alerted + self.open

    @property
    def erased(self) -> int:
        """Everything erased, of every kind."""
        return sum(n for name, n in self.erasures.items() if not name.startswith("unjudged "))


def verified_head(hub: Path, device: str, log: Path) -> Head:
    """The newest head of a device's log, once all of it verifies (rule 1). `log`: its folder, or a copy of it.

    A device whose state folder was replaced has several logs: the heads are those of the log's own key.
    """
    own, place = read_head(log), hub / FOLDER / f"{device}{SUFFIX}"
    logs = [each for each in read_heads(place) if each.heads] if place.exists() else []
    mine = [each for each in logs if own is not None and each.key == own.key]
    heads = (mine or logs)[-1].heads if logs else []
    if not heads:
        raise BadData(f"the hub has kept no signed head of {device}: its log cannot be verified")
    verdict = verify(log, heads[0].key, heads)
    if verdict.broken is not None:
        broken = verdict.broken
        raise BadData(f"audit log of {device} is not whole: {broken.file} line {broken.line}: {broken.text}")
    return max(heads, key=lambda head: head.seq)


def count_chain(hub: Path, device: str, log: Path, deployment: str, into: ChainCounts) -> None:
    """Add one deployment of one device's log; rules 1 to 3. `log`: the folder of the log, or a copy of it."""
    into.heads[device] = verified_head(hub, device, log)
    into.devices.append(device)
    reader = _Reader(deployment, into)
    for row in rows_of(log):
        reader.take(row)
    reader.finish()


def count_chains(hub: Path, logs: Mapping[str, Path]) -> dict[str, ChainCounts]:
    """Every deployment in the given logs, oldest first; rules 1 to 3. Each log is read once."""
    found: dict[str, ChainCounts] = {}
    for device, log in logs.items():
        head = verified_head(hub, device, log)
        readers: dict[str, _Reader] = {}
        idle = _Reader("", ChainCounts())
        for row in rows_of(log):
            loaded = row.record.deployment if row.record.what == "loaded" else None
            if loaded is not None and loaded not in readers:
                counts = found.setdefault(loaded, ChainCounts())
                counts.heads[device] = head
                counts.devices.append(device)
                readers[loaded] = _Reader(loaded, counts, _boot=idle._boot, _before=idle._before)
            for reader in (idle, *readers.values()):
                reader.take(row)
        for reader in readers.values():
            reader.finish()
    return dict(sorted(found.items(), key=lambda item: item[1].first_at))


def first_moment(log: Path) -> str:
    """The time of a log's first row: what was before is not in it."""
    return next((row.at for row in rows_of(log)), "")


def rows_of(log: Path) -> Iterator[Row]:
    """Every row of a log's folder, oldest first."""
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
    _last_at: str = ""
    _runs: bool = False
    """This start has loaded the deployment, and neither ended it nor stopped."""

    def take(self, row: Row) -> None:
        """The next row."""
        if row.boot != self._boot:
            self._add_counts()
            self._recognising_until(self._last_at)
            self._boot, self._before, self._last = row.boot, {}, {}
            self.into.killed += int(self._runs)
            self._runs = False
        self._last_at = row.at
        record, into = row.record, self.into
        if record.what == "loaded":
            self._add_counts()
            self._inside = self._runs = record.deployment == self.deployment
            if self._inside:
                into.first_at = min(filter(None, (into.first_at, row.at)))
                into.mode = record.mode.value if record.mode is not None else into.mode
        elif record.what == "counts":
            self._last = {name: int(getattr(record, name) or 0) for name in _TOTALS}
            if not self._inside:
                self._before = self._last
            elif record.sign_dark_ms is None:
                into.sign_dark_known = False
        elif record.what == "stopped":
            self._runs = False
            self._recognising_until(row.at)
        elif record.what == "ended" and self._inside:
            into.last_at = max(into.last_at, row.at)
            self._recognising_until(row.at)
            self._add_counts()
            self._inside = self._runs = False
            into.ended.add(into.devices[-1])
        elif record.alert is not None and record.alert in into.alerts and record.what != "alert":
            self._of_an_alert(row)
        elif self._inside:
            self._inside_one(row)

    def finish(self) -> None:
        """No row is left."""
        self._recognising_until(self._last_at)
        self._add_counts()

    def _of_an_alert(self, row: Row) -> None:
        record = row.record
        alert = record.alert or ""
        if record.what == "judged":
            self.into.judged[alert] = record.outcome or "unknown"
        elif record.what == "engagement" and record.engagement is not None:
            self.into.engaged[alert] = record.engagement
        elif record.what == "disposition" and record.disposition is not None:
            self.into.disposed[alert] = record.disposition
        elif record.what == "hold":
            self.into.held.add(alert)
        elif record.what == "erased" and record.count and alert not in self.into.gone:
            self.into.gone.add(alert)  # a device that died before it stored the receipt has logged it again
            self.into.erasures[f"{record.what_gone}.{record.reason}"] += record.count
            if alert not in self.into.judged:
                self.into.erasures[f"unjudged {record.what_gone}.{record.reason}"] += record.count

    def _inside_one(self, row: Row) -> None:
        record, into = row.record, self.into
        into.last_at = max(into.last_at, row.at)
        if record.what == "alert" and record.alert is not None:
            into.alerts.add(record.alert)
        elif record.what == "erased":
            into.erasures[f"{record.what_gone}.{record.reason}"] += record.count or 0
        elif record.what == "refused":
            ended = record.reason == "ended" and record.deployment == self.deployment  # as it should be
            into.refusals += int(not ended)
        elif record.what == "watchlist" and record.subjects is not None:
            into.subjects, into.images, into.threshold = record.subjects, record.images, record.threshold
        elif record.what == "engine":
            into.detector_sha256, into.recogniser_sha256 = record.detector_sha256 or "", record.recogniser_sha256 or ""
        elif record.what == "state":
            self._recognising_until(row.at)
            self._recognising_since = row.at if record.now == "recognising" else None
        if record.camera is not None:
            into.cameras.add(f"{into.devices[-1]}/{record.camera}")

    def _recognising_until(self, at: str) -> None:
        if self._recognising_since is not None:
            begin, end = (datetime.fromisoformat(each.replace("Z", "+00:00")) for each in (self._recognising_since, at))
            self.into.recognising.append((begin, end))
        self._recognising_since = None

    def _add_counts(self) -> None:
        """The totals of this start since the deployment was loaded (rule 2)."""
        if self._inside and self._last:
            for name in _TOTALS:
                before = self._before.get(name, 0)
                total = self._last[name] - (before if before <= self._last[name] else 0)
                setattr(self.into, name, getattr(self.into, name) + max(0, total))
        self._before, self._last = self._last or self._before, {}
