"""Identification computed over all lists at once agrees with drawing lists, keeps its laws, and brackets the truth."""

from __future__ import annotations

import numpy as np
import pytest

from calibration.report.evaluation import evaluate
from calibration.report.evaluation_tables import TOO_FEW, tables
from calibration.statistics import open_set
from calibration.statistics.open_set import at_rate, crossing, false_alerts, found, people_found, trial
from calibration.statistics.resample import interval, share_interval, weights
from device.domain.proportion import wilson
from device.errors import EvidenceUnusable
from tests.unit.calibration import second_opinion as second
from tests.unit.calibration.synthetic import people

FACES = people(150, 2, noise=0.45, seed=3)
TIMES = weights(FACES.source, 60, 1)
TRIALS = [trial(FACES, seed=k) for k in range(3)]


@pytest.mark.parametrize("subjects", [20, 60])
def test_the_numbers_agree_with_those_of_a_second_program_that_draws_lists(subjects: int) -> None:
    strangers, mates = second.searched(FACES.templates, FACES.owner, subjects, 120, np.random.default_rng(5))
    alerts, hits = false_alerts(TRIALS, subjects, TIMES), found(TRIALS, subjects, TIMES)
    for threshold in (0.5, 0.6, 0.7):
        at = int(np.argmin(np.abs(alerts.grid - threshold)))
        drawn = float((np.array(strangers) >= alerts.grid[at]).mean())
        assert alerts.estimate[at] == pytest.approx(drawn, abs=0.02)
        assert hits.estimate[at] == pytest.approx(float((np.array(mates) >= hits.grid[at]).mean()), abs=0.03)
    threshold, share, _, shares = at_rate(alerts, hits, 0.05)
    other_threshold, other_share = second.tpir(strangers, mates, 0.05)
    assert threshold == pytest.approx(other_threshold, abs=0.015)
    low, high = share_interval(share, shares, people_found(TRIALS))
    assert low - 0.02 <= other_share <= high + 0.02


def test_false_alerts_fall_with_the_threshold_and_grow_with_the_list_and_found_falls() -> None:
    short, long = (false_alerts(TRIALS, n, TIMES) for n in (20, 100))
    assert (np.diff(short.estimate) <= 1e-12).all()
    assert (long.estimate >= short.estimate - 1e-12).all()
    hits = found(TRIALS, 20, TIMES)
    assert (np.diff(hits.estimate) <= 1e-12).all()
    assert (found(TRIALS, 100, TIMES).estimate <= hits.estimate + 1e-12).all()


def test_intervals_contain_their_estimates_and_shrink_with_people() -> None:
    def width(count: int) -> float:
        faces = people(count, 2, noise=0.45, seed=3)
        times = weights(faces.source, 80, 1)
        runs = [trial(faces, seed=0)]
        rates = false_alerts(runs, 20, times)
        at = int(np.argmin(np.abs(rates.grid - 0.6)))
        low, high = interval(rates.draws[at])
        assert low <= rates.estimate[at] <= high
        return high - low

    assert width(200) < width(60)


def test_only_people_with_a_second_photo_are_looked_for() -> None:
    faces = people(40, 1)
    assert people_found([trial(faces)]) == 0
    assert people_found(TRIALS) == 150


def test_a_probe_that_gave_no_template_is_nobody_who_could_be_found_or_alert() -> None:
    nothing = np.zeros_like(FACES.templates)
    runs = [trial(FACES, probes=nothing)]
    assert people_found(runs) == 0
    assert false_alerts(runs, 20, TIMES).estimate.max() == 0.0


def test_one_group_passing_by_is_counted_against_the_whole_list() -> None:
    among = np.arange(150) < 60
    part = false_alerts(TRIALS, 50, TIMES, among).estimate
    rest = false_alerts(TRIALS, 50, TIMES, ~among).estimate
    whole = false_alerts(TRIALS, 50, TIMES).estimate
    assert np.allclose(0.4 * part + 0.6 * rest, whole)
    assert people_found(TRIALS, among) == 60


def test_where_a_rate_falls_to_the_limit_is_between_the_neighbours() -> None:
    grid, rate = np.array([0.3, 0.4, 0.5]), np.array([0.1, 0.01, 0.001])
    assert crossing(grid, rate, 0.01) == pytest.approx(0.4)
    assert 0.3 < crossing(grid, rate, 0.03) < 0.4
    assert np.isnan(crossing(grid, rate, 1e-5))


def test_no_event_still_has_an_upper_bound() -> None:
    """The rule of three: none in 2,996 people is at most 1 in 1,000 (here Wilson's, a little wider)."""
    low, high = wilson(0.0, 2996)
    assert low == 0.0
    assert 1e-3 < high < 1.4e-3
    assert share_interval(0.0, np.zeros(100), 2996) == (low, high)
    assert share_interval(0.5, np.full(100, 0.5), 1000)[0] == 0.5


@pytest.mark.slow
def test_lists_beyond_the_data_are_extrapolated_and_marked_and_go_on_where_the_data_ends() -> None:
    rows = evaluate(people(600, 2, noise=0.6, seed=8, dimensions=40), sizes=(400, 2000), draws=12)["identification"]
    assert [(r["subjects"], r["extrapolated"]) for r in rows[::3]] == [(400, False), (2000, True)]
    for inside, beyond in zip(rows[:3], rows[3:], strict=True):
        assert inside["threshold"] < beyond["threshold"] < inside["threshold"] + 0.15
        assert beyond["found"]["low"] <= beyond["found"]["share"] <= beyond["found"]["high"]


def test_an_evaluation_has_intervals_everywhere_and_withholds_small_cells() -> None:
    faces = people(240, 4, noise=0.6, seed=8, dimensions=40)
    groups = {person: "large" if k % 50 else "small" for k, person in enumerate(faces.people)}
    document = evaluate(faces, groups=groups, sizes=(50, 200), draws=12)
    rows = document["identification"]
    assert [(r["subjects"], r["extrapolated"]) for r in rows[::3]] == [(50, False), (200, False)]
    for row in rows:
        assert row["threshold_low"] <= row["threshold_high"]
        assert row["found"]["low"] <= row["found"]["share"] <= row["found"]["high"]
    by_limit = [[r["threshold"] for r in rows if r["limit"] == limit] for limit in (0.01, 0.001)]
    for thresholds in by_limit:
        assert thresholds == sorted(thresholds)
    large, small = document["groups"]["rows"]
    assert large["found"]["people"] == 235
    assert small["found"] == {"people": 5, "withheld": "5 people, fewer than 30: no rate is shown"}
    single, three = document["photos"]["rows"][0], document["photos"]["rows"][4]
    assert (three["listed_photos"], three["looks"]) == (3, 1)
    assert three["found"]["share"] >= single["found"]["share"]


def test_rates_that_so_few_people_cannot_tell_are_marked() -> None:
    document = evaluate(people(40, 2, noise=0.6, seed=8, dimensions=40), sizes=(10, 30), draws=12)
    reported = {(row["subjects"], row["limit"]): row["told"] for row in document["identification"]}
    assert reported == {
        (10, 0.01): True,
        (10, 0.003): False,
        (10, 0.001): False,
        (30, 0.01): False,
        (30, 0.003): False,
        (30, 0.001): False,
    }
    assert [row["told"] for row in document["verification"]["rows"]] == [True, True, False]
    verification, identification = tables(document)[:2]
    assert [row[-1] == TOO_FEW for row in verification.rows] == [False, False, True]
    assert [row[-1] == TOO_FEW for row in identification.rows] == [False, *[True] * 5]


def test_people_without_second_photos_cannot_be_evaluated() -> None:
    with pytest.raises(EvidenceUnusable, match="0 of 50 people have two usable photos"):
        evaluate(people(50, 1))


def test_a_list_longer_than_the_data_says_how_many_people_are_needed() -> None:
    rows = evaluate(people(60, 2, noise=0.4), sizes=(20, 500), draws=20)["identification"]
    assert "about 578 people of one source" in rows[-1]["withheld"]
    assert open_set.LARGEST_SHARE == 0.9
