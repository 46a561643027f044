"""Logs each condition that begins or ceases to fail, with its rule and its text: one event per change.

A condition that changes often is logged at most once in CONDITION_LOG_QUIET_S; `changes` counts its changes since the
last event, and its latest result is always logged in the end.
"""

from __future__ import annotations

import logging

from device.domain.conditions import ConditionName
from device.logs import event
from device.ports.clock import Clock
from device.supervisor.conditions.condition import Evaluation, Result
from device.supervisor.runtime.rate_limit import RateLimiter
from device.supervisor.timing import CONDITION_LOG_QUIET_S

_log = logging.getLogger(__name__)


class ConditionTransitions:
    """Compares each evaluation of the tables with the last logged one."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._limiter = RateLimiter(CONDITION_LOG_QUIET_S)
        self._failing: set[ConditionName] = set()
        self._logged_as_failing: set[ConditionName] = set()

    def observe(self, evaluations: tuple[Evaluation, ...]) -> None:
        """Log every condition whose result changed between failing and not failing."""
        for evaluation in evaluations:
            self._observe(evaluation)

    def _observe(self, evaluation: Evaluation) -> None:
        condition, fails = evaluation.condition, evaluation.result is Result.FAILS
        name = condition.name
        if fails is not (name in self._failing):
            self._failing ^= {name}
            self._limiter.record(name)
        if fails is (name in self._logged_as_failing):
            return
        changes = self._limiter.take(name, self._clock.monotonic())
        if not changes:
            return
        self._logged_as_failing ^= {name}
        event(
            _log,
            "condition.fails" if fails else "condition.fails_no_more",
            level=logging.WARNING if fails else logging.INFO,
            condition=name.value,
            rule=condition.rule,
            text=evaluation.text,
            changes=changes,
        )
