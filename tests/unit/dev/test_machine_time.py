"""The clock of the tests that measure a promise of real time."""

from __future__ import annotations

import pytest

from tests.machine_time import GAP_S, MachineTime


def counted(slept_s: list[float]) -> float:
    """What the clock shows after sleeps that took this long."""
    now, left = [0.0], iter(slept_s)

    def sleep(_: float) -> None:
        now[0] += next(left)

    clock = MachineTime(lambda: now[0], sleep)
    for _ in slept_s:
        clock.step()
    return clock.seconds


def test_on_a_quiet_machine_it_is_the_real_time() -> None:
    assert counted([0.005] * 200) == pytest.approx(1.0)
    assert counted([0.0061] * 100) == pytest.approx(0.61)


def test_a_gap_in_which_the_machine_ran_others_does_not_count() -> None:
    assert counted([0.005, 2.0, 0.005]) == pytest.approx(0.01 + GAP_S)
