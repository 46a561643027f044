"""Drift of the engine's latency: each stage's 95th percentile beside its value at the start of this program.

1. A stage's value at the start is the median of its p95 over its first DRIFT_START_S, after DRIFT_WARM_UP_S: the first
   looks of a worker compile and allocate. A worker that starts again keeps it: a device that has become hot and is
   restarted is still slower than it was. Of several cameras the slowest counts.
2. A stage is slower once it has been DRIFT times its value at the start, and MORE_MS above it, for DRIFT_S without a
   break: a crowd or a busy moment is none.
3. Before these have passed the value at the start is unknown, and is not 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from statistics import median

from device.domain.time import NS_PER_S
from device.supervisor.timing import DRIFT_S, DRIFT_START_S, DRIFT_WARM_UP_S

DRIFT = 1.5
MORE_MS = 2.0


class LatencyDrift:
    """Fed with the stages of each report; `at_start_ms` and `slower` are read."""

    def __init__(self) -> None:
        self.at_start_ms: dict[str, float] = {}
        self._first_ns: dict[str, int] = {}
        self._first_ms: dict[str, list[float]] = {}
        self._above_since_ns: dict[str, int] = {}
        self._now_ns = 0

    def observe(self, stage_p95_ms: Mapping[str, float], now_ns: int) -> None:
        """The slowest camera's p95 by stage at this moment; empty while no worker runs (rules 1, 2)."""
        self._now_ns = now_ns
        for stage in [one for one in self._above_since_ns if one not in stage_p95_ms]:
            del self._above_since_ns[stage]
        for stage, p95_ms in stage_p95_ms.items():
            if stage in self.at_start_ms:
                self._compare(stage, p95_ms)
            else:
                self._collect(stage, p95_ms)

    @property
    def slower(self) -> tuple[str, ...]:
        """Stages that have drifted (rule 2)."""
        since = self._above_since_ns.items()
        return tuple(stage for stage, ns in since if self._now_ns - ns >= DRIFT_S * NS_PER_S)

    def _collect(self, stage: str, p95_ms: float) -> None:
        age_ns = self._now_ns - self._first_ns.setdefault(stage, self._now_ns)
        if age_ns < DRIFT_WARM_UP_S * NS_PER_S:
            return
        values = self._first_ms.setdefault(stage, [])
        values.append(p95_ms)
        if age_ns >= (DRIFT_WARM_UP_S + DRIFT_START_S) * NS_PER_S:
            self.at_start_ms[stage] = round(median(values), 2)
            del self._first_ms[stage]

    def _compare(self, stage: str, p95_ms: float) -> None:
        start_ms = self.at_start_ms[stage]
        if p95_ms >= max(DRIFT * start_ms, start_ms + MORE_MS):
            self._above_since_ns.setdefault(stage, self._now_ns)
        else:
            self._above_since_ns.pop(stage, None)


def slowest(beats: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """The slowest camera's p95 of each stage. beats: p95 by stage, by camera."""
    stages: dict[str, float] = {}
    for stage_p95_ms in beats.values():
        for stage, p95_ms in stage_p95_ms.items():
            stages[stage] = max(stages.get(stage, 0.0), p95_ms)
    return stages
