"""The end of the window, whatever somebody does to the wall clock."""

from __future__ import annotations

from datetime import timedelta

import pytest

from device.domain.time import wall
from device.edges.clock.fake import FakeClock
from device.supervisor.deployment.deadlines import Deadline

HOUR = 3600.0


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def end(clock: FakeClock) -> Deadline:
    """Two hours, of which one is over."""
    now = clock.wall()
    return Deadline(wall(now - timedelta(hours=1)), wall(now + timedelta(hours=1)))


def past(end: Deadline, clock: FakeClock, *, trusted: bool = True) -> bool:
    return end.past(clock.wall(), clock.monotonic(), trusted=trusted)


def test_the_window_ends_by_the_wall_clock(clock: FakeClock, end: Deadline) -> None:
    assert not past(end, clock)
    clock.advance(HOUR - 1)
    assert not past(end, clock)
    clock.advance(1)
    assert past(end, clock)


@pytest.mark.parametrize("trusted", [True, False])
def test_a_clock_set_back_postpones_nothing(clock: FakeClock, end: Deadline, trusted: bool) -> None:
    assert not past(end, clock)
    clock.set_wall(clock.wall() - timedelta(days=1))
    assert not past(end, clock, trusted=trusted)
    clock.advance(HOUR)
    assert past(end, clock, trusted=trusted)


def test_a_trusted_clock_that_jumps_forward_ends_the_window(clock: FakeClock, end: Deadline) -> None:
    assert not past(end, clock)
    clock.set_wall(clock.wall() + timedelta(hours=2))
    assert past(end, clock)


def test_a_clock_that_is_not_synchronised_ends_nothing_by_jumping_forward(clock: FakeClock, end: Deadline) -> None:
    assert not past(end, clock)
    clock.set_wall(clock.wall() + timedelta(days=1))
    assert not past(end, clock, trusted=False)
    clock.advance(HOUR)
    assert past(end, clock, trusted=False)


def test_without_a_trusted_clock_a_deployment_lasts_as_long_as_its_window(clock: FakeClock, end: Deadline) -> None:
    clock.set_wall(clock.wall() + timedelta(days=400))
    assert not past(end, clock, trusted=False)
    clock.advance(2 * HOUR - 1)
    assert not past(end, clock, trusted=False)
    clock.advance(1)
    assert past(end, clock, trusted=False)


def test_the_first_trusted_reading_replaces_the_guess(clock: FakeClock, end: Deadline) -> None:
    start = clock.wall()
    assert not past(end, clock, trusted=False)
    clock.advance(1.5 * HOUR)
    clock.set_wall(start)
    assert not past(end, clock)
    clock.advance(HOUR - 1)
    assert not past(end, clock)
    clock.advance(1)
    assert past(end, clock)
