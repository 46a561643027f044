"""Each condition that begins or ceases to fail is an event with its rule: the table's own text, once per change.

A row that flaps is told of at most once in QUIET_S; what it read in between is counted, and its last word is told.
"""

from __future__ import annotations

import logging

from device.logs import event
from device.ports.clock import Clock
from device.supervisor.conditions.tables import Reading, Result
from device.supervisor.runtime.rate_limit import Damper

_log = logging.getLogger(__name__)
QUIET_S = 1.0


class Refusals:
    """Compares one look at the tables with the last."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._damper = Damper(QUIET_S)
        self._failing: set[str] = set()
        self._told: set[str] = set()

    def note(self, readings: tuple[Reading, ...]) -> tuple[Reading, ...]:
        """Log every row whose answer changed between failing and not failing; the rows that were told of."""
        return tuple(reading for reading in readings if self._changed(reading))

    def _changed(self, reading: Reading) -> bool:
        row, fails = reading.row, reading.result is Result.FAILS
        if fails is not (row.name in self._failing):
            self._failing ^= {row.name}
            self._damper.happened(row.name)
        if fails is (row.name in self._told):
            return False
        changes = self._damper.take(row.name, self._clock.monotonic())
        if not changes:
            return False
        self._told ^= {row.name}
        level = logging.WARNING if fails else logging.INFO
        name = "condition.fails" if fails else "condition.fails_no_more"
        event(_log, name, level=level, row=row.name, rule=row.rule, text=reading.text, changes=changes)
        return True
