"""The clock of the tests that measure a promise of real time."""

from __future__ import annotations

import os
import threading

import pytest

from tests.machine_time import GAP_S, MachineTime, waited_s


def counted(slept_s: list[float], waited_s: list[float] | None = None) -> float:
    """What the clock shows after sleeps that took this long, a thread having waited for so long in each of them."""
    now, waited, left = [0.0], [0.0], iter(zip(slept_s, waited_s or [0.0] * len(slept_s), strict=True))

    def sleep(_: float) -> None:
        slept, waiting = next(left)
        now[0] += slept
        waited[0] += waiting

    clock = MachineTime(lambda: now[0], sleep, lambda: {7: waited[0]})
    for _ in slept_s:
        clock.step()
    return clock.seconds


def test_on_a_quiet_machine_it_is_the_real_time() -> None:
    assert counted([0.005] * 200) == pytest.approx(1.0)
    assert counted([0.0061] * 100) == pytest.approx(0.61)


def test_a_gap_in_which_the_machine_ran_others_does_not_count() -> None:
    assert counted([0.005, 2.0, 0.005]) == pytest.approx(0.01 + GAP_S)


def test_time_in_which_a_measured_process_waited_for_a_processor_does_not_count() -> None:
    assert counted([0.005] * 200, [0.004] * 200) == pytest.approx(0.2)
    assert counted([0.005] * 200, [0.02] * 200) == pytest.approx(0.0), "several threads waited at once"


def test_every_thread_of_a_process_is_read_but_the_one_that_asks() -> None:
    ended = threading.Event()
    thread = threading.Thread(target=ended.wait, args=(60,))
    thread.start()
    try:
        found = waited_s([os.getpid()])
        assert thread.native_id in found
        assert threading.get_native_id() not in found
        assert all(0 <= seconds < 3600 for seconds in found.values())
    finally:
        ended.set()
        thread.join()


def test_a_process_that_is_gone_has_not_waited() -> None:
    assert waited_s([2**22 + 1]) == {}
