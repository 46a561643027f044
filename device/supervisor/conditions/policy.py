"""The policy: what to do about the conditions, as pure functions."""

from __future__ import annotations

from device.domain.camera_fault import CameraFault
from device.supervisor.conditions import evaluation
from device.supervisor.conditions.condition import Evaluation
from device.supervisor.conditions.snapshot import CameraView, Snapshot
from device.supervisor.state_machine import Event, State
from device.supervisor.timing import CLEAR_S


def next_event(state: State, evaluations: tuple[Evaluation, ...], clear_s: float, over: bool) -> Event | None:
    """The event that follows from the conditions, or None to stay.

    clear_s  how long `evaluation.may_watch` has held without a break
    over     the deployment is over: recordings ended, window ended, or the hub ended it
    """
    if state is State.ENDING:
        return None
    if over:
        return Event.END
    fails = bool(evaluation.failing(evaluations))
    if state is State.READY and evaluation.may_watch(evaluations) and not fails:
        return Event.ARM
    if state is State.ARMED:
        return Event.INHIBIT if fails else Event.RUN if evaluation.all_hold(evaluations) else None
    if state is State.RECOGNISING and not evaluation.all_hold(evaluations):
        return Event.INHIBIT
    if state is State.INHIBITED and not fails and clear_s >= CLEAR_S:
        return Event.RECOVER
    return None


def workers_wanted(state: State, evaluations: tuple[Evaluation, ...], clear_s: float, were_wanted: bool) -> bool:
    """Whether workers may run: only while the sign is lit.

    In `inhibited` a worker may wait for its camera to return: one that still runs stays, one that was stopped starts
    again when the conditions have held for CLEAR_S.
    """
    if state in (State.ARMED, State.RECOGNISING):
        return evaluation.may_watch(evaluations)
    return state is State.INHIBITED and evaluation.may_watch(evaluations) and (were_wanted or clear_s >= CLEAR_S)


def fault_lamp_wanted(state: State, snapshot: Snapshot) -> bool:
    """Whether the fault lamp is lit: inhibited, nothing can be kept, or a camera is lost or sees badly.

    That nothing moves is shown in the status only: an empty room is as still.
    """
    if state is State.INHIBITED or snapshot.unkept:
        return True
    if state is not State.RECOGNISING:
        return False
    away = any(view not in (CameraView.ONLINE, CameraView.ENDED) for view in snapshot.cameras.values())
    return away or any(fault is not CameraFault.STILL for fault in snapshot.camera_faults.values())


def sign_wanted(
    state: State, evaluations: tuple[Evaluation, ...], any_worker: bool, *, commissioning: bool = False
) -> bool:
    """Whether the sign is lit: always while a worker exists, and while only the sign itself is still to be proved.

    commissioning: a camera is to be looked through although nothing is loaded (supervisor/commissioning.py).
    A sign that did not follow its pulse is switched off as soon as no worker is left.
    """
    if any_worker:
        return True
    if evaluation.sign_disproved(evaluations):
        return False
    return commissioning or (state not in (State.SAFE, State.ENDING) and evaluation.may_light(evaluations))
