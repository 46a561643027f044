"""The condition tables evaluated over one snapshot, and what follows from all of them together. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from device.domain.conditions import ConditionName
from device.supervisor.conditions.condition import Condition, Evaluation, KnownFrom, Result
from device.supervisor.conditions.snapshot import Snapshot
from device.supervisor.conditions.tables import ARM, RUN

SIGN_RULE = "R15"


def evaluate(snapshot: Snapshot) -> tuple[Evaluation, ...]:
    """Every condition of both tables at this moment, in the tables' order."""
    return tuple(_evaluate(condition, snapshot) for condition in (*ARM, *RUN))


def _evaluate(condition: Condition, snapshot: Snapshot) -> Evaluation:
    refusal = snapshot.refusals.get(condition.name)
    if refusal is not None:
        return Evaluation(condition, Result.FAILS, f"{condition.wrong} ({refusal}); {condition.remedy}")
    answer = condition.predicate(snapshot)
    if answer is True:
        held = condition.text if condition.held is None else condition.held(snapshot)
        return Evaluation(condition, Result.HOLDS, held)
    if answer is None:
        return Evaluation(condition, Result.PENDING, condition.text)
    found = condition.found(snapshot) if condition.found is not None else ""
    return Evaluation(condition, Result.FAILS, f"{condition.wrong}{f' ({found})' if found else ''}; {condition.remedy}")


def may_light(evaluations: tuple[Evaluation, ...]) -> bool:
    """Whether the sign may be switched on: every condition known from the device alone holds (tables.py, rule 2)."""
    return _hold(e for e in evaluations if e.condition.known_from is KnownFrom.DEVICE)


def may_watch(evaluations: tuple[Evaluation, ...]) -> bool:
    """Whether workers may run: device and sign conditions hold, no other one that stops workers fails (rules 2, 3)."""
    known = _hold(e for e in evaluations if e.condition.known_from is not KnownFrom.WORKER)
    return known and not any(e.result is Result.FAILS and e.condition.stops_workers for e in evaluations)


def all_hold(evaluations: tuple[Evaluation, ...]) -> bool:
    """Whether the device may be called recognising: every condition holds."""
    return _hold(evaluations)


def failing(evaluations: tuple[Evaluation, ...]) -> tuple[Evaluation, ...]:
    """The conditions that fail, in the tables' order."""
    return tuple(e for e in evaluations if e.result is Result.FAILS)


def pending(evaluations: tuple[Evaluation, ...]) -> tuple[Evaluation, ...]:
    """The conditions that are not known yet."""
    return tuple(e for e in evaluations if e.result is Result.PENDING)


def sign_disproved(evaluations: tuple[Evaluation, ...]) -> bool:
    """Whether the sensed light has been shown not to be this sign's."""
    return any(e.condition.name is ConditionName.SIGN_FOLLOWS_ITS_PULSE for e in failing(evaluations))


def sign_condition_fails(evaluations: tuple[Evaluation, ...]) -> bool:
    """Whether a condition of the sign (R15) does not hold."""
    return not _hold(e for e in evaluations if e.condition.rule == SIGN_RULE)


def _hold(evaluations: Iterable[Evaluation]) -> bool:
    return all(e.result is Result.HOLDS for e in evaluations)
