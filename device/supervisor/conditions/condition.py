"""Types of the condition tables: a condition, and its evaluation at one moment."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from device.domain.conditions import ConditionName
from device.domain.symptoms.condition_rows import CONDITIONS
from device.supervisor.conditions.snapshot import Snapshot


class Table(str, Enum):
    """arm: checked to enter `armed` and from then on; run: checked all the time."""

    ARM = "arm"
    RUN = "run"


class KnownFrom(str, Enum):
    """The earliest moment at which a condition can be evaluated (tables.py, rule 2)."""

    DEVICE = "device"
    SIGN = "sign"
    WORKER = "worker"


class Result(str, Enum):
    """The outcome of one evaluation. pending: not known yet, so it does not hold."""

    HOLDS = "holds"
    FAILS = "fails"
    PENDING = "pending"


Predicate = Callable[[Snapshot], "bool | None"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """One condition.

    rule           the field requirement that it serves
    text           what must hold
    stops_workers  whether a failure also ends the workers (tables.py, rule 3)
    found          what in particular is wrong, in brackets behind `wrong`
    held           the text while it holds, where that differs from `text`
    """

    name: ConditionName
    table: Table
    rule: str
    text: str
    predicate: Predicate
    known_from: KnownFrom = KnownFrom.DEVICE
    stops_workers: bool = True
    found: Callable[[Snapshot], str] | None = None
    held: Callable[[Snapshot], str] | None = None

    @property
    def wrong(self) -> str:
        """What an operator reads when it does not hold."""
        return CONDITIONS[self.name].symptom

    @property
    def remedy(self) -> str:
        """What to do then."""
        return CONDITIONS[self.name].remedy


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A condition at one moment. `text` is ready to print: what holds, or what fails and what to do."""

    condition: Condition
    result: Result
    text: str
