"""What the audit log notes by itself: conditions that start to fail, the hub's coming and going, the count of people.

1. A condition that starts to fail is noted at once; one that flickers, once in FLICKER_S with how often it did.
2. Counts are noted every COUNTS_S while a deployment is loaded, and when it ends. They come from three places, so they
   are read when they agree, which takes a worker's next beat; if they do not within SETTLE_S they are noted as they
   stand: `settled` then says whether workers were still telling.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from device.domain.time import NS_PER_S, MonotonicNs
from device.ports.audit import Audit
from device.supervisor.conditions import tables
from device.supervisor.runtime.rate_limit import Damper
from device.supervisor.status.view import Picture
from device.supervisor.workers.passage_counts import Reading
from device.supervisor.workers.pool import Crew

FLICKER_S = 10.0
COUNTS_S = 60.0
SETTLE_S = 2.0  # a worker beats four times a second


@dataclass(slots=True)
class Recorder:
    """Looks at every picture that the reporter draws."""

    audit: Audit
    _failing: set[str] = field(default_factory=set)
    _damper: Damper = field(default_factory=lambda: Damper(FLICKER_S))
    _hub: tuple[bool, str] | None = None
    _facts: dict[str, object] = field(default_factory=dict)
    _counted_ns: int | None = None

    def look(self, seen: Picture, crew: Crew, now: MonotonicNs) -> None:
        """Note what is new since the last picture."""
        self._conditions(seen, now)
        hub = (seen.snapshot.hub_absent_s == 0, seen.snapshot.operator)
        if hub != self._hub:
            self._hub = hub
            self.audit.note("hub", "R13", online=hub[0], operator=hub[1])
        self._opened(crew)
        self._count_when_due(crew.ledger.reading(), now, due=seen.deployment_id is not None)

    def counts(self, reading: Reading, *, settled: bool) -> None:
        """The count of people as it stands."""
        self.audit.note(
            *("counts", "R04"),
            faces_seen=reading.faces_seen,
            discarded=reading.discarded,
            lost=reading.lost,
            alerted=reading.alerted,
            alerted_by_worker=reading.alerted_by_worker,
            open=reading.open,
            settled=settled,
        )

    def _conditions(self, seen: Picture, now: MonotonicNs) -> None:
        for reading in seen.readings:
            row, fails = reading.row, reading.result is tables.Result.FAILS
            if fails is not (row.name in self._failing):
                self._failing ^= {row.name}
                self._damper.happened(row.name, int(fails))
            if times := self._damper.take(row.name, now):
                what = "sign" if row.name.startswith("sign") else "condition"
                self.audit.note(what, row.rule, condition=row.name.lower(), result="fails", count=times)

    def _opened(self, crew: Crew) -> None:
        """Which list and which engine a worker opened."""
        loaded, engine = crew.watchlist, crew.engine
        if loaded is not None and self._new("watchlist", loaded):
            self.audit.note(
                *("watchlist", "R01"),
                watchlist=loaded.watchlist_id,
                sha256=loaded.sha256,
                subjects=loaded.subjects,
                images=loaded.images,
                threshold=loaded.threshold,
            )
        if engine is not None and self._new("engine", engine):
            self.audit.note(
                *("engine", "R26"),
                backend=engine.backend.replace(":", "-"),
                detector_sha256=engine.detector_sha256,
                recogniser_sha256=engine.recogniser_sha256,
            )

    def _new(self, name: str, fact: object) -> bool:
        known, self._facts[name] = self._facts.get(name), fact
        return known != fact

    def _count_when_due(self, reading: Reading, now: MonotonicNs, *, due: bool) -> None:
        if not due:
            self._counted_ns = None
            return
        if self._counted_ns is None:
            self._counted_ns = now
        late_s = (now - self._counted_ns) / NS_PER_S - COUNTS_S
        if late_s >= 0 and (reading.balanced or late_s >= SETTLE_S):
            self.counts(reading, settled=reading.balanced or not reading.telling)
            self._counted_ns = now
