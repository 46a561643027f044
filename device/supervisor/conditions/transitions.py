"""Each condition that begins or ceases to fail is an event with its rule: the table's own text, once per change.

A row that flaps is told of at most once in QUIET_S; what it read in between is counted, and its last word is told.
"""

from __future__ import annotations

import logging

from device.logs import event
from device.ports.clock import Clock
from device.supervisor.conditions.tables import Evaluation, Result
from device.supervisor.runtime.rate_limit import RateLimiter

_log = logging.getLogger(__name__)
QUIET_S = 1.0


class ConditionTransitions:
    """Compares one look at the tables with the last."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._limiter = RateLimiter(QUIET_S)
        self._failing: set[str] = set()
        self._reported: set[str] = set()

    def note(self, evaluations: tuple[Evaluation, ...]) -> tuple[Evaluation, ...]:
        """Log every row whose answer changed between failing and not failing; the rows that were told of."""
        return tuple(evaluation for evaluation in evaluations if self._changed(evaluation))

    def _changed(self, evaluation: Evaluation) -> bool:
        condition, fails = evaluation.condition, evaluation.result is Result.FAILS
        if fails is not (condition.name in self._failing):
            self._failing ^= {condition.name}
            self._limiter.record(condition.name)
        if fails is (condition.name in self._reported):
            return False
        changes = self._limiter.take(condition.name, self._clock.monotonic())
        if not changes:
            return False
        self._reported ^= {condition.name}
        level = logging.WARNING if fails else logging.INFO
        name = "condition.fails" if fails else "condition.fails_no_more"
        event(
            _log,
            name,
            level=level,
            condition=condition.name,
            rule=condition.rule,
            text=evaluation.text,
            changes=changes,
        )
        return True
