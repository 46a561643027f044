"""One list, one engine, the terms of the configuration: a threshold, its source as text, and why not to arm."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device.domain.operating_point import LIMIT
from device.errors import EvidenceDamaged
from device.evidence import artefact
from device.evidence.artefact import Engine
from device.recognition.operating_point import (
    OperatingPoint,
    Terms,
    engine_of,
    evidence_for,
    known_evidence,
    operating_point,
    provisional,
)
from engines.cards.catalogue import card
from engines.cards.model_card import DETECTOR_DEFAULT, RECOGNISER_DEFAULT

DEFAULT = engine_of(card(DETECTOR_DEFAULT), card(RECOGNISER_DEFAULT), "openvino:fp32")


def point_of(photos: list[int], engine: Engine, terms: Terms) -> OperatingPoint:
    return operating_point(photos, known_evidence(engine, terms), terms)


def test_the_threshold_comes_from_the_shipped_evidence_and_names_it() -> None:
    point = point_of([1] * 400, DEFAULT, Terms())
    assert point.problem == ""
    assert point.source.startswith("evidence sface-2021dec/")
    assert "fp32: for 400 listed" in point.source
    assert point.predicted is not None
    assert point.bound is not None
    assert 0 < point.predicted < point.bound <= LIMIT
    assert 0.49 < point.threshold < 0.56


def test_it_grows_with_the_list_and_with_the_photos_of_an_entry() -> None:
    short, long, many = (point_of(photos, DEFAULT, Terms()).threshold for photos in ([1] * 100, [1] * 1822, [3] * 1822))
    assert short < long < many
    assert point_of([1], DEFAULT, Terms()).threshold == short


def test_a_lower_limit_costs_a_higher_threshold() -> None:
    strict = point_of([1] * 400, DEFAULT, Terms(limit=LIMIT / 5))
    assert strict.threshold > point_of([1] * 400, DEFAULT, Terms()).threshold
    assert strict.bound is not None
    assert strict.bound <= LIMIT / 5


@pytest.mark.parametrize(
    ("photos", "terms", "says"),
    [
        ([1] * 40_000, Terms(), "40000 people are listed and the evidence ends at"),
        ([1, 4, 5], Terms(), "2 entries have more than 3 photos"),
        ([1] * 10, Terms(threshold=0.3), "outside the tested band"),
        ([1] * 10, Terms(threshold=0.9), "outside the tested band"),
        ([1] * 1822, Terms(threshold=0.45), "false alerts in 1,000 faces are predicted, the limit is 1.0"),
        ([1], Terms(evidence=Path("/nowhere.json")), "no such file"),
    ],
)
def test_outside_the_evidence_there_is_a_reason_not_to_arm(photos: list[int], terms: Terms, says: str) -> None:
    assert says in point_of(photos, DEFAULT, terms).problem


def test_a_configured_threshold_of_the_tested_band_is_obeyed_judged_and_shown_as_such() -> None:
    point = point_of([1] * 100, DEFAULT, Terms(threshold=0.6))
    assert (point.threshold, point.problem) == (0.6, "")
    assert point.source.startswith("configured, assessed with sface-2021dec/")
    assert point.bound is not None
    assert point.bound < LIMIT / 10


@pytest.mark.parametrize(
    "engine",
    [
        replace(DEFAULT, recogniser="my-own", sha256="f" * 64),
        replace(DEFAULT, sha256="f" * 64),
        replace(DEFAULT, precision="e4m3"),
        replace(DEFAULT, detector="my-own", detector_sha256="f" * 64),
        replace(DEFAULT, reader="1"),
    ],
)
def test_an_engine_without_evidence_has_no_prediction_and_a_threshold_marked_provisional(engine: Engine) -> None:
    point = point_of([1] * 500, engine, Terms())
    assert (point.threshold, point.predicted, point.bound) == (0.494, None, None)
    assert point.source.startswith("provisional")
    assert "lfr calibrate operating-point" in point.problem


@pytest.mark.parametrize(
    ("engine", "words"),
    [
        (
            replace(DEFAULT, detector="my-own", detector_sha256="f" * 64),
            "was measured behind detector yunet-2023mar (49f000ec501f…), this device runs my-own (ffffffffffff…)",
        ),
        (replace(DEFAULT, reader="1"), "was measured with reader 2, this device aligns and cuts out faces as reader 1"),
    ],
)
def test_with_another_detector_or_alignment_nothing_is_armed_and_the_remedy_is_given(
    engine: Engine, words: str
) -> None:
    problem = point_of([1] * 100, engine, Terms(threshold=0.6)).problem
    assert words in problem
    assert "lfr calibrate operating-point --recogniser NAME --detector NAME" in problem


def test_evidence_that_ships_and_was_changed_is_a_damaged_installation_not_missing_evidence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = artefact.shipped(RECOGNISER_DEFAULT).read_text()
    changed, count = re.subn(r'"largest_list": \d+', '"largest_list": 99999', text)
    assert count > 0
    (tmp_path / f"{RECOGNISER_DEFAULT}.json").write_text(changed)
    monkeypatch.setattr(artefact, "FOLDER", tmp_path)
    with pytest.raises(EvidenceDamaged, match=r"changed after it was signed.*install the program again"):
        evidence_for(DEFAULT, Terms())
    assert "the shipped evidence is damaged" in point_of([1], DEFAULT, Terms()).problem
    monkeypatch.setattr(artefact, "TRUSTED_FILE", tmp_path / "trusted.json")
    (tmp_path / "trusted.json").write_text('{"keys": [{"ed25519": "12"}]}')
    with pytest.raises(EvidenceDamaged, match=r"trusted.json: missing or changed"):
        evidence_for(DEFAULT, Terms())


def test_an_emulated_precision_has_the_evidence_of_what_it_emulates() -> None:
    emulated, real = (
        point_of([1], engine_of(card(DETECTOR_DEFAULT), card(RECOGNISER_DEFAULT), f"onnxruntime:{p}"), Terms())
        for p in ("bf16-emulated", "bf16")
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
