"""The one state the device is in, as a table of (state, event) -> state. Nothing else changes state."""

from __future__ import annotations

from enum import Enum

from device.errors import InternalError


class State(str, Enum):
    """safe: nothing loaded · ready: self-test passed · armed: a deployment is authorised, no recognition yet ·
    recognising · inhibited: a condition fails · ending: erasing.
    """

    SAFE = "safe"
    READY = "ready"
    ARMED = "armed"
    RECOGNISING = "recognising"
    INHIBITED = "inhibited"
    ENDING = "ending"


class Event(str, Enum):
    """What moves the device from one state to another."""

    SELF_TEST_PASSED = "self_test_passed"
    ARM = "arm"
    RUN = "run"
    INHIBIT = "inhibit"
    RECOVER = "recover"
    END = "end"
    ERASED = "erased"


TABLE: dict[tuple[State, Event], State] = {
    (State.SAFE, Event.SELF_TEST_PASSED): State.READY,
    (State.READY, Event.ARM): State.ARMED,
    (State.ARMED, Event.RUN): State.RECOGNISING,
    (State.ARMED, Event.INHIBIT): State.INHIBITED,
    (State.RECOGNISING, Event.INHIBIT): State.INHIBITED,
    (State.INHIBITED, Event.RECOVER): State.ARMED,
    (State.SAFE, Event.END): State.ENDING,
    (State.READY, Event.END): State.ENDING,
    (State.ARMED, Event.END): State.ENDING,
    (State.RECOGNISING, Event.END): State.ENDING,
    (State.INHIBITED, Event.END): State.ENDING,
    (State.ENDING, Event.ERASED): State.SAFE,
}


def step(state: State, event: Event) -> State:
    """The state after `event`; a pair that the table does not hold is a defect and raises InternalError."""
    try:
        return TABLE[state, event]
    except KeyError:
        raise InternalError(f"state {state.value} has no event {event.value}") from None
