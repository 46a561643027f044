"""What to do about the conditions: pure decisions, no effects."""

from __future__ import annotations

from device.supervisor.conditions import tables
from device.supervisor.conditions.tables import Evaluation
from device.supervisor.state_machine import Event, State

CLEAR_S = 1.0
"""After a failure the conditions must hold this long before anybody may be recognised again."""


def next_event(state: State, evaluations: tuple[Evaluation, ...], clear_s: float, over: bool) -> Event | None:
    """The event that follows from the conditions, or None to stay.

    clear_s  how long `conditions.may_watch` has held without a break
    over     the deployment is over: recordings ended, window ended, or the hub ended it
    """
    if state is State.ENDING:
        return None
    if over:
        return Event.END
    fails = bool(tables.failing(evaluations))
    if state is State.READY and tables.may_watch(evaluations) and not fails:
        return Event.ARM
    if state is State.ARMED:
        return Event.INHIBIT if fails else Event.RUN if tables.all_hold(evaluations) else None
    if state is State.RECOGNISING and not tables.all_hold(evaluations):
        return Event.INHIBIT
    if state is State.INHIBITED and not fails and clear_s >= CLEAR_S:
        return Event.RECOVER
    return None


def workers_wanted(state: State, evaluations: tuple[Evaluation, ...], clear_s: float, were_wanted: bool) -> bool:
    """Whether workers may exist: no lit sign, no sight. In `inhibited` one may wait for its camera to come back:
    it stays if it never had to go, and comes back when the conditions have held for CLEAR_S.
    """
    if state in (State.ARMED, State.RECOGNISING):
        return tables.may_watch(evaluations)
    return state is State.INHIBITED and tables.may_watch(evaluations) and (were_wanted or clear_s >= CLEAR_S)


def sign_wanted(state: State, evaluations: tuple[Evaluation, ...], any_worker: bool) -> bool:
    """Whether the sign is lit: always while a worker exists, and when only the sign itself is still to be proved.

    A sign that did not follow its pulse is put out as soon as nobody looks: still sensed lit, it is a fault by itself.
    """
    if any_worker:
        return True
    if tables.sign_disproved(evaluations):
        return False
    return state not in (State.SAFE, State.ENDING) and tables.may_light(evaluations)
