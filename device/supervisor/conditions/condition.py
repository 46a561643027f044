"""What a condition is made of; the tables themselves are in conditions.py, whose head has the rules."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from device.supervisor.conditions.snapshot import Snapshot


class Table(str, Enum):
    """arm: checked to enter `armed` and from then on; run: checked all the time."""

    ARM = "arm"
    RUN = "run"


class KnownFrom(str, Enum):
    """The earliest moment at which a row can be judged (conditions.py, rule 2)."""

    DEVICE = "device"
    SIGN = "sign"
    WORKER = "worker"


class Result(str, Enum):
    """How a row reads now."""

    HOLDS = "holds"
    FAILS = "fails"
    PENDING = "pending"
    NOT_YET_REQUIRED = "not_yet_required"


Predicate = Callable[[Snapshot], "bool | None"]


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition. `text`: what must hold; `wrong` and `remedy`: what an operator reads when it does not.

    found, held  what in particular is wrong; how it holds, where that can differ
    """

    name: str
    table: Table
    rule: str
    text: str
    wrong: str = ""
    remedy: str = ""
    predicate: Predicate | None = None
    known_from: KnownFrom = KnownFrom.DEVICE
    stops_workers: bool = True
    found: Callable[[Snapshot], str] | None = None
    held: Callable[[Snapshot], str] | None = None


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A row as it reads now. `text` is ready to print: what holds, or what fails and what to do."""

    condition: Condition
    result: Result
    text: str
