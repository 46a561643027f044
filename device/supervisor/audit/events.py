"""Audit rows for changes of state: conditions that begin to fail, hub and operator, passage counts.

1. A condition that begins to fail is noted at once; one that changes often, at most once in AUDIT_CONDITION_QUIET_S
   with the number of its failures since.
2. Passage counts are noted every AUDIT_COUNTS_S while a deployment is loaded, every AUDIT_COUNTS_SAME_S while none of
   them changes, and at its end. They come from three sources, so they are noted when they balance, which takes a
   worker's next beat. If they do not balance within AUDIT_COUNTS_SETTLE_S they are noted as they are; `settled` states
   whether all workers had reported.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from device.domain.time import NS_PER_MS, NS_PER_S, MonotonicNs
from device.ports.audit import Audit
from device.supervisor.conditions.condition import Result
from device.supervisor.runtime.rate_limit import RateLimiter
from device.supervisor.status.view import StatusView
from device.supervisor.timing import (
    AUDIT_CONDITION_QUIET_S,
    AUDIT_COUNTS_S,
    AUDIT_COUNTS_SAME_S,
    AUDIT_COUNTS_SETTLE_S,
)
from device.supervisor.workers.passage_counts import RunningCounts
from device.supervisor.workers.pool import WorkerPool


@dataclass(slots=True)
class AuditEvents:
    """Compares each view of the device with the last one."""

    audit: Audit
    _failing: set[str] = field(default_factory=set)
    _limiter: RateLimiter = field(default_factory=lambda: RateLimiter(AUDIT_CONDITION_QUIET_S))
    _hub: tuple[bool, str] | None = None
    _facts: dict[str, object] = field(default_factory=dict)
    _counted_ns: int | None = None
    _counted: RunningCounts | None = None
    _sign_dark_ms: int = 0

    def observe(self, seen: StatusView, pool: WorkerPool, now: MonotonicNs) -> None:
        """Note what has changed since the last view."""
        self._conditions(seen, now)
        hub = (seen.snapshot.hub_absent_s == 0, seen.snapshot.operator)
        if hub != self._hub:
            self._hub = hub
            self.audit.note("hub", "R13", online=hub[0], operator=hub[1])
        self._opened(pool)
        self._sign_dark_ms = seen.sign_counts.dark_ns // NS_PER_MS
        self._count_when_due(pool.counts.running(), now, due=seen.deployment_id is not None)

    def counts(self, counts: RunningCounts, *, settled: bool) -> None:
        """Note the passage counts, and how long the sign was dark as of the last view."""
        self.audit.note(
            "counts",
            "R04",
            faces_seen=counts.faces_seen,
            discarded=counts.discarded,
            lost=counts.lost,
            alerted=counts.alerted,
            alerted_by_worker=counts.alerted_by_worker,
            open=counts.open,
            settled=settled,
            sign_dark_ms=self._sign_dark_ms,
        )

    def _conditions(self, seen: StatusView, now: MonotonicNs) -> None:
        for evaluation in seen.evaluations:
            condition, fails = evaluation.condition, evaluation.result is Result.FAILS
            if fails is not (condition.name in self._failing):
                self._failing ^= {condition.name}
                self._limiter.record(condition.name, int(fails))
            if times := self._limiter.take(condition.name, now):
                what = "sign" if condition.name.startswith("sign") else "condition"
                self.audit.note(what, condition.rule, condition=condition.name.lower(), result="fails", count=times)

    def _opened(self, pool: WorkerPool) -> None:
        """Note watchlist and engine when a worker reports different ones."""
        loaded, engine = pool.reports.watchlist, pool.reports.engine
        if loaded is not None and self._new("watchlist", loaded):
            self.audit.note(
                "watchlist",
                "R01",
                watchlist=loaded.watchlist_id,
                sha256=loaded.sha256,
                subjects=loaded.subjects,
                images=loaded.images,
                threshold=loaded.threshold,
            )
        if engine is not None and self._new("engine", engine):
            self.audit.note(
                "engine",
                "R26",
                backend=engine.backend.replace(":", "-"),
                detector_sha256=engine.detector_sha256,
                recogniser_sha256=engine.recogniser_sha256,
            )

    def _new(self, name: str, fact: object) -> bool:
        known, self._facts[name] = self._facts.get(name), fact
        return known != fact

    def _count_when_due(self, counts: RunningCounts, now: MonotonicNs, *, due: bool) -> None:
        if not due:
            self._counted_ns = None
            return
        if self._counted_ns is None:
            self._counted_ns = now
        every_s = AUDIT_COUNTS_SAME_S if counts == self._counted else AUDIT_COUNTS_S
        late_s = (now - self._counted_ns) / NS_PER_S - every_s
        if late_s >= 0 and (counts.balanced or late_s >= AUDIT_COUNTS_SETTLE_S):
            self.counts(counts, settled=counts.balanced or not counts.workers_running)
            self._counted_ns, self._counted = now, counts
