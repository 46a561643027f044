"""Each condition that begins or ceases to fail is an event with its rule: the table's own text, once per change.

A row that flaps is told of at most once in QUIET_S; what it read in between is counted, and its last word is told.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

from device.domain.time import NS_PER_S
from device.logs import event
from device.ports.clock import Clock
from device.supervisor.conditions import Reading, Result

_log = logging.getLogger(__name__)
QUIET_S = 1.0


@dataclass(slots=True)
class _Told:
    """What was last told of a row, when, and how often it changed since. failed: as it read last."""

    failed: bool = False
    told: bool = False
    told_ns: int | None = None
    unsaid: int = 0


class Refusals:
    """Compares one look at the tables with the last."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._rows: dict[str, _Told] = {}

    def note(self, readings: tuple[Reading, ...]) -> tuple[Reading, ...]:
        """Log every row whose answer changed between failing and not failing; the rows that were told of."""
        return tuple(reading for reading in readings if self._changed(reading))

    def _changed(self, reading: Reading) -> bool:
        row, now = reading.row, int(self._clock.monotonic())
        told = self._rows.setdefault(row.name, _Told())
        fails = reading.result is Result.FAILS
        told.unsaid += fails is not told.failed
        told.failed = fails
        quiet = told.told_ns is not None and now - told.told_ns < QUIET_S * NS_PER_S
        if fails is told.told or quiet:
            return False
        changes, told.unsaid, told.told, told.told_ns = told.unsaid, 0, fails, now
        level = logging.WARNING if fails else logging.INFO
        name = "condition.fails" if fails else "condition.fails_no_more"
        event(_log, name, level=level, row=row.name, rule=row.rule, text=reading.text, changes=changes)
        return True
