"""The state table: what may follow what, and that nothing else may."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device.errors import InternalError
from device.supervisor.state_machine import TABLE, Event, State, step


def test_every_state_is_reachable_from_safe() -> None:
    reached, before = {State.SAFE}, set[State]()
    while reached != before:
        before = set(reached)
        reached |= {after for (state, _), after in TABLE.items() if state in reached}
    assert reached == set(State)


def test_every_state_can_end_and_only_erasing_leads_back_to_safe() -> None:
    assert {state for (state, event) in TABLE if event is Event.END} == set(State) - {State.ENDING}
    assert {(state, event) for (state, event), after in TABLE.items() if after is State.SAFE} == {
        (State.ENDING, Event.ERASED)
    }


def test_recognising_is_only_entered_from_armed() -> None:
    assert {state for (state, _), after in TABLE.items() if after is State.RECOGNISING} == {State.ARMED}


@given(st.sampled_from(State), st.sampled_from(Event))
def test_a_pair_outside_the_table_is_a_defect(state: State, event: Event) -> None:
    if (state, event) in TABLE:
        assert step(state, event) is TABLE[state, event]
    else:
        with pytest.raises(InternalError, match=event.value):
            step(state, event)
