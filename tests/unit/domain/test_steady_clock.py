"""A time is kept only of a clock that runs evenly; one that jumped and returned is known again."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from device.domain.steady_clock import STEADY_S, SteadyClock
from device.edges.clock.fake import FakeClock


def observed(steady: SteadyClock, clock: FakeClock) -> bool:
    return steady.observe(clock.wall(), clock.monotonic(), synchronised=clock.synchronised())


def run(steady: SteadyClock, clock: FakeClock, seconds: float) -> bool:
    """Read every two seconds; the last answer."""
    answer = observed(steady, clock)
    for _ in range(round(seconds / 2)):
        clock.advance(2)
        answer = observed(steady, clock)
    return answer


def test_a_clock_is_steady_after_a_minute_and_not_before() -> None:
    clock, steady = FakeClock(), SteadyClock()
    assert not run(steady, clock, STEADY_S - 2)
    assert run(steady, clock, 4)


@given(jump_s=st.integers(6, 10**8), lasts_s=st.integers(2, 58))
def test_a_jump_of_less_than_a_minute_is_never_steady_and_is_known_when_it_is_over(jump_s: int, lasts_s: int) -> None:
    clock, steady = FakeClock(), SteadyClock()
    assert run(steady, clock, 100)
    clock.set_wall(clock.wall() + timedelta(seconds=jump_s))
    assert not run(steady, clock, lasts_s)
    assert not steady.returned(clock.wall(), clock.monotonic())
    clock.set_wall(clock.wall() - timedelta(seconds=jump_s))
    assert not observed(steady, clock)
    assert steady.returned(clock.wall(), clock.monotonic())
    assert run(steady, clock, STEADY_S)


def test_a_clock_that_was_set_back_has_not_returned() -> None:
    clock, steady = FakeClock(), SteadyClock()
    assert run(steady, clock, 100)
    clock.set_wall(clock.wall() - timedelta(seconds=10))
    assert not run(steady, clock, 300)
    assert not steady.returned(clock.wall(), clock.monotonic())
    clock.set_wall(clock.wall() + timedelta(seconds=10))
    observed(steady, clock)
    assert steady.returned(clock.wall(), clock.monotonic())


def test_nothing_is_known_of_a_clock_before_its_first_steady_minute_or_without_synchronisation() -> None:
    clock, steady = FakeClock(), SteadyClock()
    assert not steady.returned(clock.wall(), clock.monotonic())
    clock.is_synchronised = False
    assert not run(steady, clock, 200)
    assert not steady.returned(clock.wall(), clock.monotonic())
