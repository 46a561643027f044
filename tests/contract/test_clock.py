"""Every clock passes the same suite: the kernel's and the fake."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from device.domain.time import wall
from device.edges.clock.fake import FakeClock
from device.edges.clock.system import SystemClock
from device.ports.clock import Clock


@pytest.fixture(params=[SystemClock, FakeClock])
def clock(request: pytest.FixtureRequest) -> Clock:
    made: Clock = request.param()
    return made


def test_monotonic_time_never_goes_back(clock: Clock) -> None:
    readings = [clock.monotonic() for _ in range(100)]
    assert readings == sorted(readings)


def test_wall_time_is_utc(clock: Clock) -> None:
    assert clock.wall().utcoffset() == timedelta(0)


def test_synchronised_is_a_plain_yes_or_no(clock: Clock) -> None:
    assert clock.synchronised() in (True, False)


def test_the_system_clock_agrees_with_python() -> None:
    assert abs(SystemClock().wall() - wall(datetime.now(timezone.utc))) < timedelta(seconds=5)


def test_the_fake_moves_both_clocks_and_lets_the_wall_be_set_back() -> None:
    clock = FakeClock()
    monotonic, wall = clock.monotonic(), clock.wall()
    clock.advance(1.5)
    assert clock.monotonic() - monotonic == 1_500_000_000
    assert clock.wall() - wall == timedelta(seconds=1.5)
    clock.set_wall(wall - timedelta(days=1))
    assert clock.monotonic() - monotonic == 1_500_000_000
    with pytest.raises(ValueError, match="does not go back"):
        clock.advance(-1)
