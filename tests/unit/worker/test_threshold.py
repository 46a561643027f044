"""One list, one engine, the terms of the configuration: a threshold, its source in words, and why not to arm."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device.domain.operating_point import LIMIT
from device.worker.threshold import Engine, Terms, operating_point, provisional
from engines.cards import RECOGNISER_DEFAULT, card

SHA = card(RECOGNISER_DEFAULT).source.member_sha256
DEFAULT = Engine(RECOGNISER_DEFAULT, SHA, "fp32")


def test_the_threshold_comes_from_the_evidence_that_ships_and_says_so() -> None:
    point = operating_point([1] * 400, DEFAULT, Terms())
    assert point.problem == ""
    assert point.source.startswith("evidence sface-2021dec/")
    assert "fp32: for 400 listed" in point.source
    assert point.predicted is not None
    assert point.bound is not None
    assert 0 < point.predicted < point.bound <= LIMIT
    assert 0.49 < point.threshold < 0.56


def test_it_grows_with_the_list_and_with_the_photos_of_an_entry() -> None:
    short, long, many = (
        operating_point(photos, DEFAULT, Terms()).threshold for photos in ([1] * 100, [1] * 1822, [3] * 1822)
    )
    assert short < long < many
    assert operating_point([1], DEFAULT, Terms()).threshold == short


def test_a_lower_limit_costs_a_higher_threshold() -> None:
    strict = operating_point([1] * 400, DEFAULT, Terms(limit=LIMIT / 5))
    assert strict.threshold > operating_point([1] * 400, DEFAULT, Terms()).threshold
    assert strict.bound is not None
    assert strict.bound <= LIMIT / 5


@pytest.mark.parametrize(
    ("photos", "terms", "says"),
    [
        ([1] * 20_000, Terms(), "20000 people are listed and the evidence ends at"),
        ([1, 4, 5], Terms(), "2 entries have more than 3 photos"),
        ([1] * 10, Terms(threshold=0.3), "outside the tested band"),
        ([1] * 10, Terms(threshold=0.9), "outside the tested band"),
        ([1] * 1822, Terms(threshold=0.45), "false alerts in 1,000 faces are predicted, the limit is 1.0"),
        ([1], Terms(evidence=Path("/nowhere.json")), "No such file"),
    ],
)
def test_outside_the_evidence_there_is_a_reason_not_to_arm(photos: list[int], terms: Terms, says: str) -> None:
    assert says in operating_point(photos, DEFAULT, terms).problem


def test_a_configured_threshold_of_the_tested_band_is_obeyed_judged_and_shown_as_such() -> None:
    point = operating_point([1] * 100, DEFAULT, Terms(threshold=0.6))
    assert (point.threshold, point.problem) == (0.6, "")
    assert point.source.startswith("configured, judged by sface-2021dec/")
    assert point.bound is not None
    assert point.bound < LIMIT / 10


@pytest.mark.parametrize(
    "engine",
    [
        Engine("my-own", "f" * 64, "fp32"),
        Engine(RECOGNISER_DEFAULT, "f" * 64, "fp32"),
        Engine(RECOGNISER_DEFAULT, SHA, "e4m3"),
    ],
)
def test_an_engine_without_evidence_has_no_prediction_and_a_provisional_threshold_that_says_so(engine: Engine) -> None:
    point = operating_point([1] * 500, engine, Terms())
    assert (point.threshold, point.predicted, point.bound) == (0.494, None, None)
    assert point.source.startswith("provisional")
    assert "lfr calibrate operating-point" in point.problem


def test_an_emulated_precision_has_the_evidence_of_what_it_emulates() -> None:
    emulated, real = (
        operating_point([1], Engine(RECOGNISER_DEFAULT, SHA, p), Terms()) for p in ("bf16-emulated", "bf16")
    )
    assert emulated == real
    assert real.problem == ""


@pytest.mark.parametrize(
    ("subjects", "threshold"), [(100, 0.458), (500, 0.494), (1822, 0.516), (4000, 0.540), (1, 0.458), (50_000, 0.540)]
)
def test_provisionally_the_measured_points_are_kept_and_the_ends_are_clamped(subjects: int, threshold: float) -> None:
    assert provisional(subjects) == pytest.approx(threshold)


@pytest.mark.parametrize(("low", "high"), [(100, 500), (500, 1822), (1822, 4000)])
def test_half_way_in_the_logarithm_is_half_way_in_the_provisional_threshold(low: int, high: int) -> None:
    middle = round(math.sqrt(low * high))
    assert provisional(middle) == pytest.approx((provisional(low) + provisional(high)) / 2, abs=1e-4)


@given(subjects=st.integers(0, 100_000), more=st.integers(0, 100_000))
def test_a_longer_list_never_has_a_lower_provisional_threshold(subjects: int, more: int) -> None:
    assert 0.458 <= provisional(subjects) <= provisional(subjects + more) <= 0.540
