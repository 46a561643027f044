"""A wall clock that was set back is noticed against monotonic time; a service's small corrections are not."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device.edges.clock.fake import FakeClock
from device.supervisor.deployment.deadlines import ClockSetback
from device.supervisor.timing import CLOCK_STEP_ALLOWED


def finding(watch: ClockSetback, clock: FakeClock) -> str:
    return watch.finding(clock.wall(), clock.monotonic(), trusted=clock.synchronised())


@pytest.mark.parametrize(("back_s", "noticed"), [(0, False), (60, False), (61, True), (86_400, True)])
def test_only_more_than_a_correction_is_set_back(back_s: int, noticed: bool) -> None:
    clock, watch = FakeClock(), ClockSetback()
    assert finding(watch, clock) == ""
    clock.advance(3600)
    clock.set_wall(clock.wall() - timedelta(seconds=back_s))
    assert bool(finding(watch, clock)) is noticed


def test_nothing_is_expected_of_a_clock_before_its_first_trusted_reading() -> None:
    clock, watch = FakeClock(), ClockSetback()
    clock.is_synchronised = False
    assert finding(watch, clock) == ""
    clock.set_wall(clock.wall() - timedelta(days=300))
    clock.is_synchronised = True
    assert finding(watch, clock) == ""
    clock.is_synchronised = False
    clock.set_wall(clock.wall() - timedelta(days=1))
    assert "must show" in finding(watch, clock), "what it read while it was trusted holds"


@given(st.lists(st.tuples(st.integers(0, 5000), st.integers(-60, 10**6)), max_size=8))
def test_a_clock_that_never_fell_short_by_more_than_allowed_is_never_accused(steps: list[tuple[int, int]]) -> None:
    clock, watch = FakeClock(), ClockSetback()
    start = clock.wall()
    assert finding(watch, clock) == ""
    passed = 0
    for seconds, off in steps:
        clock.advance(seconds)
        passed += seconds
        clock.set_wall(start + timedelta(seconds=passed + off))
        assert finding(watch, clock) == ""
    clock.set_wall(start + timedelta(seconds=passed) - CLOCK_STEP_ALLOWED - timedelta(milliseconds=1))
    assert finding(watch, clock) != ""
