"""The provisional operating point follows its table."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device.worker.threshold import SOURCE, provisional


@pytest.mark.parametrize(
    ("subjects", "threshold"), [(100, 0.458), (500, 0.494), (1822, 0.516), (4000, 0.540), (1, 0.458), (50_000, 0.540)]
)
def test_the_measured_points_are_kept_and_the_ends_are_clamped(subjects: int, threshold: float) -> None:
    assert provisional(subjects) == pytest.approx(threshold)


@pytest.mark.parametrize(("low", "high"), [(100, 500), (500, 1822), (1822, 4000)])
def test_half_way_in_the_logarithm_is_half_way_in_the_threshold(low: int, high: int) -> None:
    middle = round(math.sqrt(low * high))
    assert provisional(middle) == pytest.approx((provisional(low) + provisional(high)) / 2, abs=1e-4)


@given(subjects=st.integers(0, 100_000), more=st.integers(0, 100_000))
def test_a_longer_list_never_has_a_lower_threshold(subjects: int, more: int) -> None:
    assert 0.458 <= provisional(subjects) <= provisional(subjects + more) <= 0.540


def test_it_says_that_it_is_provisional() -> None:
    assert SOURCE.startswith("provisional")
