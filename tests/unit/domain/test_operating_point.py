"""Thresholds from evidence keep their laws, whatever the tail looks like."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device.domain.operating_point import LIMIT, Evidence, Tail, counted, per_thousand

tails = st.builds(
    Tail,
    start=st.just(0.38),
    rate=st.floats(1e-5, 5e-3),
    shape=st.floats(-0.3, 0.4),
    scale=st.floats(0.01, 0.04),
    shift=st.tuples(st.floats(0, 0.02), st.floats(0.02, 0.03), st.floats(0.03, 0.05)),
)
lists = st.tuples(st.integers(0, 4000), st.integers(0, 500), st.integers(0, 500)).filter(any)
thresholds = st.floats(0.44, 0.95)


def evidence(tail: Tail, *others: Tail) -> Evidence:
    return Evidence("test", tail, others or (tail,), 0.95, 100, 12_000, (0.45, 0.95))


EXPONENTIAL = Tail(0.4, 1e-3, 0.0, 0.02, (0.0, 0.0, 0.0))


def test_the_exponential_tail_is_what_it_should_be_by_hand() -> None:
    assert EXPONENTIAL.above(0.4) == pytest.approx(1e-3)
    assert EXPONENTIAL.above(0.44) == pytest.approx(1e-3 * math.exp(-2))
    assert EXPONENTIAL.false_alerts(0.44, (1000,)) == pytest.approx(1 - (1 - 1e-3 * math.exp(-2)) ** 1000)
    assert EXPONENTIAL.above(0.39) == 1.0


def test_a_bounded_tail_ends_and_a_shape_of_almost_nothing_is_the_exponential() -> None:
    bounded = Tail(0.4, 1e-3, -0.5, 0.02, (0.0,))
    assert bounded.above(0.4 + 0.02 / 0.5 + 1e-6) == 0.0
    nearly = Tail(0.4, 1e-3, 1e-7, 0.02, (0.0,))
    assert nearly.above(0.5) == pytest.approx(EXPONENTIAL.above(0.5), rel=1e-4)


@given(tail=tails, listed=lists, low=thresholds, more=st.floats(0, 0.3))
def test_a_higher_threshold_never_gives_more_false_alerts(
    tail: Tail, listed: tuple[int, int, int], low: float, more: float
) -> None:
    assert tail.false_alerts(low + more, listed) <= tail.false_alerts(low, listed)


@given(tail=tails, listed=lists, more=st.integers(1, 5000), photos=st.integers(0, 2), threshold=thresholds)
def test_a_longer_list_never_gives_fewer(
    tail: Tail, listed: tuple[int, int, int], more: int, photos: int, threshold: float
) -> None:
    longer = tuple(count + more * (place == photos) for place, count in enumerate(listed))
    assert tail.false_alerts(threshold, longer) >= tail.false_alerts(threshold, listed)


@given(tail=tails, people=st.integers(1, 4000), threshold=thresholds)
def test_more_photos_of_an_entry_never_give_fewer(tail: Tail, people: int, threshold: float) -> None:
    one, two, three = (tail.false_alerts(threshold, [people * (k == p) for k in range(3)]) for p in range(3))
    assert one <= two <= three


@given(tail=tails, people=st.integers(1, 3000), times=st.integers(2, 10), threshold=thresholds)
def test_false_alerts_grow_at_most_in_proportion_to_the_list(
    tail: Tail, people: int, times: int, threshold: float
) -> None:
    once = tail.false_alerts(threshold, (people,))
    assert tail.false_alerts(threshold, (people * times,)) <= once * times * (1 + 1e-9)


@settings(max_examples=40)
@given(tail=tails, others=st.lists(tails, min_size=1, max_size=30), listed=lists, threshold=thresholds)
def test_the_bound_is_never_below_the_estimate(
    tail: Tail, others: list[Tail], listed: tuple[int, int, int], threshold: float
) -> None:
    predicted = evidence(tail, *others).predict(threshold, listed)
    assert 0 <= predicted.rate <= predicted.bound <= 1


@settings(max_examples=40)
@given(
    tail=tails, others=st.lists(tails, min_size=1, max_size=20), people=st.integers(1, 6000), more=st.integers(0, 6000)
)
def test_the_threshold_grows_with_the_list_and_meets_the_limit_or_is_objected_to(
    tail: Tail, others: list[Tail], people: int, more: int
) -> None:
    known = evidence(tail, *others)
    short, long = known.threshold_for((people,)), known.threshold_for((people + more,))
    assert known.band[0] <= short <= long + 1e-9
    for threshold, listed in ((short, (people,)), (long, (people + more,))):
        assert (known.objection(threshold, listed) == "") == (known.predict(threshold, listed).bound <= LIMIT)


def test_the_threshold_is_the_smallest_that_does() -> None:
    known = evidence(EXPONENTIAL)
    threshold = known.threshold_for((1000,))
    assert known.predict(threshold, (1000,)).bound <= LIMIT < known.predict(threshold - 1e-6, (1000,)).bound


def test_the_bound_is_the_quantile_of_the_replicates_not_their_worst() -> None:
    others = [Tail(0.4, rate * 1e-5, 0.0, 0.02, (0.0,)) for rate in range(1, 101)]
    known = Evidence("test", others[49], tuple(others), 0.95, 100, 1000, (0.41, 0.9))
    assert known.predict(0.5, (1,)).bound == pytest.approx(others[94].false_alerts(0.5, (1,)))


def test_a_list_shorter_than_the_evidence_has_the_threshold_of_its_shortest() -> None:
    known = evidence(EXPONENTIAL)
    assert known.threshold_for((1,)) == known.threshold_for((100,)) == known.threshold_for((50, 0, 0))
    assert known.predict(known.threshold_for((1,)), (1,)).bound < LIMIT / 50


@pytest.mark.parametrize(
    ("threshold", "people", "says"),
    [
        (0.6, 12_001, "12001 people are listed and the evidence ends at 12000"),
        (0.44, 10, "outside the tested band 0.450 to 0.950"),
        (0.96, 10, "outside the tested band"),
        (0.46, 3000, "up to 139 false alerts in 1,000 faces are predicted, the limit is 1.0"),
    ],
)
def test_what_lies_outside_the_evidence_is_described(threshold: float, people: int, says: str) -> None:
    assert says in evidence(EXPONENTIAL).objection(threshold, (people,))


def test_entries_are_counted_by_their_photos_and_those_with_too_many_are_named() -> None:
    assert counted([1, 1, 3, 2, 7, 4], 3) == ((2.0, 1.0, 3.0), 2)


@pytest.mark.parametrize(("rate", "text"), [(0.000_38, "0.38"), (0.001, "1.0"), (0.0123, "12"), (4e-6, "0.004")])
def test_rates_are_written_in_a_thousand(rate: float, text: str) -> None:
    assert per_thousand(rate) == text
