"""The fitted tail finds the distribution it was drawn from, over people, and says when it cannot."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from calibration.evidence import operating_point
from calibration.evidence.operating_point import Models, artefact, measured
from calibration.statistics import tail
from calibration.statistics.decision_rules import RULES, RUNNING_MEANS, WEIGHTED_MEAN, Looks
from calibration.statistics.resample import weights
from calibration.statistics.tail import fit, goodness, looks_of, pareto, shift, strangers
from device.domain.decision_rule import DECISION_RULE
from device.domain.operating_point import LIMIT
from device.domain.recognisers import Recognisers
from device.errors import EvidenceUnusable
from engines.cards.catalogue import card
from engines.cards.model_card import DETECTOR_DEFAULT, RECOGNISER_DEFAULT
from tests.unit.calibration.synthetic import people

FACES = people(620, 3, noise=0.5, seed=2, dimensions=32)
MODELS = Models(card(DETECTOR_DEFAULT), Recognisers(card(RECOGNISER_DEFAULT)))


def drawn(shape: float, scale: float, count: int, seed: int) -> Any:
    above = np.random.default_rng(seed).random(count)
    return scale * (above**-shape - 1) / shape


@pytest.mark.parametrize("shape", [-0.3, -0.1, 0.1, 0.4])
def test_shape_and_scale_come_back_and_the_fit_is_called_good(shape: float) -> None:
    excess = drawn(shape, 0.02, 4000, 1)
    found_shape, found_scale = pareto(excess, np.ones(4000))
    assert found_shape == pytest.approx(shape, abs=0.05)
    assert found_scale == pytest.approx(0.02, rel=0.08)
    distance, critical = goodness(excess, np.ones(4000), found_shape, found_scale, seed=0, rounds=40)
    assert distance < critical


def test_a_distribution_of_another_kind_is_called_no_good_fit() -> None:
    rng = np.random.default_rng(0)
    excess = np.concatenate([rng.uniform(0.0, 0.01, 500), rng.uniform(0.05, 0.06, 500)])
    shape, scale = pareto(excess, np.ones(1000))
    distance, critical = goodness(excess, np.ones(1000), shape, scale, seed=0, rounds=40)
    assert distance > 2 * critical


def test_a_comparison_that_was_drawn_twice_counts_twice() -> None:
    excess = drawn(0.1, 0.02, 500, 3)
    assert pareto(np.concatenate([excess, excess]), np.ones(1000)) == pytest.approx(
        pareto(excess, np.full(500, 2.0)), rel=1e-6
    )


def test_strangers_are_pairs_of_different_people_of_one_source_and_weigh_one_a_pair() -> None:
    faces = people(20, 3)
    pairs = strangers(faces)
    assert pairs.weight.sum() == pytest.approx(20 * 19 / 2)
    assert (pairs.first != pairs.second).all()
    two = type(faces)(faces.people, np.arange(20) % 2, *(getattr(faces, n) for n in list(faces.__slots__)[2:]))
    assert strangers(two).weight.sum() == pytest.approx(2 * 10 * 9 / 2)


@pytest.mark.slow
def test_averaged_photos_shift_scores_the_more_the_more_there_are() -> None:
    faces = people(300, 3, noise=0.4, seed=2, dimensions=64, subspace=12)
    one, two, three = shift(faces, np.ones((300, 1), np.int64), 0, WEIGHTED_MEAN)[0]
    assert 0.0 < one < two < three < 0.2


def test_a_prediction_for_lists_inside_the_data_is_what_the_data_shows() -> None:
    """Without any model, one photo against lists of 100 of 620 people: the model's estimate is near."""
    fitted = fit(FACES, strangers(FACES, 0.02), weights(FACES.source, 1, 0), rule=None).tail
    scores = FACES.templates[::3] @ FACES.templates[1::3].T
    np.fill_diagonal(scores, -1)
    rng = np.random.default_rng(1)
    threshold = fitted.start + 0.04
    hits = [(scores[:, rng.choice(620, 100, replace=False)].max(1) >= threshold).mean() for _ in range(60)]
    assert fitted.false_alerts(threshold, (100,), plain=True) == pytest.approx(float(np.mean(hits)), rel=0.25)


@pytest.mark.slow
def test_the_artefact_of_synthetic_people_covers_lists_by_its_own_rules(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a tenth of the replicates and a third of the draws of photos that evidence is made with."""
    monkeypatch.setattr(operating_point, "SHIPPED_REPLICATES", 50)
    monkeypatch.setattr(tail, "_DRAWS", 8)
    result = measured(FACES, "fp32", "synthetic", rule=WEIGHTED_MEAN)
    row = result.row
    assert row.smallest_list == 100
    assert row.table[-1].subjects == row.largest_list <= 10 * 619
    assert [p.threshold for p in row.table] == sorted(p.threshold for p in row.table)
    for point in row.table:
        assert point.predicted <= point.bound <= LIMIT * 1.001
        assert row.band[0] <= point.threshold <= row.band[1]
        assert point.extrapolated == (point.subjects > 619)
    document = artefact(
        "test/1", "2026-11-24T00:00:00Z", FACES, [row], ["nobody: synthetic"], models=MODELS, rule=WEIGHTED_MEAN
    )
    assert document.decision_rule == WEIGHTED_MEAN.name
    assert f"up to {row.largest_list:,} people" in document.statement[1]
    assert ("This covers the 1,822" in document.statement[1]) == (row.largest_list >= 1822)
    assert (document.data.people, document.data.photos) == (620, 1860)


@pytest.mark.parametrize(
    ("count", "photos", "says"),
    [
        (100, 3, "about 578 people of one source"),
        (620, 1, "nobody in the data has two usable photos"),
        (620, 2, "0 people have 3 usable photos, and 50 are needed"),
    ],
)
def test_too_little_data_is_refused_with_what_would_be_enough(count: int, photos: int, says: str) -> None:
    with pytest.raises(EvidenceUnusable, match=says):
        measured(people(count, photos, dimensions=32), "fp32", "synthetic", rule=WEIGHTED_MEAN)


@pytest.mark.slow
def test_each_decision_rule_shifts_scores_as_much_as_it_looks_for_the_best(monkeypatch: pytest.MonkeyPatch) -> None:
    """A mean moves strangers' scores least, the highest score after any look moves them more."""
    monkeypatch.setattr(tail, "_DRAWS", 8)
    faces = people(200, 3, noise=0.4, seed=2, dimensions=64, subspace=12)
    times = np.ones((200, 1), np.int64)
    moved = {name: shift(faces, times, 0, rule)[0][0] for name, rule in RULES.items()}
    assert 0 < moved["weighted mean/1"] < moved[DECISION_RULE]
    assert moved["best look/1"] > 0
    looks, alike = faces.looks.reshape(200, 3, -1), faces.weights.reshape(200, 3)
    single = (looks[:, 0] @ faces.templates.T).astype(np.float32)
    for rule in RULES.values():
        np.testing.assert_allclose(
            rule.scores(Looks(looks[:, :1], looks[:, :1], alike[:, :1]), faces.templates), single, atol=1e-5
        )


def test_a_look_of_little_weight_hardly_counts_in_the_mean() -> None:
    faces = people(30, 3, seed=4)
    looks, unequal = faces.looks.reshape(30, 3, -1), np.tile(np.array([4.0, 0.01, 0.01], np.float32), (30, 1))
    single = looks[:, 0] @ faces.templates.T
    assert WEIGHTED_MEAN.scores(Looks(looks, looks, unequal), faces.templates) == pytest.approx(single, abs=0.03)


def test_the_last_looks_alone_can_reach_what_the_mean_of_all_does_not() -> None:
    random = np.random.default_rng(6)
    entry = random.standard_normal((1, 64)).astype(np.float32)
    entry /= np.linalg.norm(entry)
    early = random.standard_normal((1, 12, 64)).astype(np.float32)
    late = entry[:, None] + 0.05 * random.standard_normal((1, 3, 64)).astype(np.float32)
    looks = np.concatenate([early, late], axis=1)
    looks /= np.linalg.norm(looks, axis=2, keepdims=True)
    weights = np.ones((1, 15), np.float32)
    assert RULES[DECISION_RULE].scores(Looks(looks, looks, weights), entry)[0, 0] > 0.9
    assert WEIGHTED_MEAN.scores(Looks(looks, looks, weights), entry)[0, 0] < 0.9


def test_two_looks_alone_can_reach_what_no_mean_of_all_or_of_the_last_does() -> None:
    entry, looks = np.eye(1, 64, dtype=np.float32), np.zeros((1, 9, 64), np.float32)
    cosines = np.array([0.1, 0.1, 0.6, 0.1, 0.1, 0.5, 0.1, 0.1, 0.1], np.float32)
    looks[0, :, 0], looks[0, :, 1] = cosines, np.sqrt(1 - cosines**2)
    weights = np.ones((1, 9), np.float32)
    assert RULES[DECISION_RULE].scores(Looks(looks, looks, weights), entry)[0, 0] == pytest.approx(0.55, abs=1e-5)
    assert RUNNING_MEANS.scores(Looks(looks, looks, weights), entry)[0, 0] < 0.5
    poor = np.zeros_like(looks)
    poor[:, :, 2] = 1.0
    assert RULES[DECISION_RULE].scores(Looks(poor, looks, weights), entry)[0, 0] == pytest.approx(0.55, abs=1e-5)
    assert RULES[DECISION_RULE].scores(Looks(poor, poor, weights), entry)[0, 0] == 0.0


def test_photos_as_looks_are_as_they_are_and_mirrored_as_the_list_s_templates_are() -> None:
    faces = people(4, 2, seed=7)
    faces = replace(faces, looks=faces.looks[::-1].copy())
    looks = looks_of(faces, np.array([[0, 1], [2, 3]]))
    assert np.array_equal(looks.plain.reshape(4, -1), faces.looks[:4])
    assert np.array_equal(looks.mirrored.reshape(4, -1), faces.templates[:4])
    assert not np.array_equal(looks.plain, looks.mirrored)
