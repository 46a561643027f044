"""Rate limiter: the first event is reported at once, the next at most every quiet time with the count since."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from device.domain.time import NS_PER_S, MonotonicNs
from device.supervisor.runtime.rate_limit import RateLimiter

QUIET_S = 10.0


def at(seconds: float) -> MonotonicNs:
    return MonotonicNs(round(seconds * NS_PER_S))


def test_the_first_event_is_reported_at_once_and_the_next_after_the_quiet_time_with_the_count_between() -> None:
    damper = RateLimiter(QUIET_S)
    assert damper.take("row", at(0)) == 0
    damper.record("row")
    assert damper.take("row", at(0)) == 1
    damper.record("row", 2)
    assert damper.take("row", at(9.9)) == 0
    damper.record("other")
    assert damper.take("other", at(9.9)) == 1
    assert damper.take("row", at(10)) == 2
    assert damper.take("row", at(30)) == 0


@given(st.lists(st.tuples(st.floats(0, 5), st.integers(0, 3)), max_size=40))
def test_nothing_is_lost_and_no_two_tellings_are_near(steps: list[tuple[float, int]]) -> None:
    damper, now, reported, count, moments = RateLimiter(QUIET_S), 0.0, 0, 0, []
    for step, times in steps:
        now += step
        damper.record("row", times)
        count += times
        if found := damper.take("row", at(now)):
            reported += found
            moments.append(at(now))
    assert reported + damper.take("row", at(now + QUIET_S)) == count
    assert all(later - earlier >= QUIET_S * NS_PER_S for earlier, later in pairwise(moments))
