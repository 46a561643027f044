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
    limiter = RateLimiter(QUIET_S)
    assert limiter.take("row", at(0)) == 0
    limiter.record("row")
    assert limiter.take("row", at(0)) == 1
    limiter.record("row", 2)
    assert limiter.take("row", at(9.9)) == 0
    limiter.record("other")
    assert limiter.take("other", at(9.9)) == 1
    assert limiter.take("row", at(10)) == 2
    assert limiter.take("row", at(30)) == 0


@given(st.lists(st.tuples(st.floats(0, 5), st.integers(0, 3)), max_size=40))
def test_no_count_is_lost_and_no_two_reports_are_closer_than_the_quiet_time(steps: list[tuple[float, int]]) -> None:
    limiter, now, reported, count, moments = RateLimiter(QUIET_S), 0.0, 0, 0, []
    for step, times in steps:
        now += step
        limiter.record("row", times)
        count += times
        if found := limiter.take("row", at(now)):
            reported += found
            moments.append(at(now))
    assert reported + limiter.take("row", at(now + QUIET_S)) == count
    assert all(later - earlier >= QUIET_S * NS_PER_S for earlier, later in pairwise(moments))
