"""Found and false by the same rules for both sides, and thresholds at an equal rate."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.dev.bench.recall.labels import Label
from tools.dev.bench.recall.table import PROVES, bands, summary
from tools.dev.bench.recall.tally import Assessed, Claim, assess, increasing, threshold_for

BOXES = dict.fromkeys(range(100), (0.0, 0.0, 40.0, 50.0))
ANN = Label(1, "ann", 0, 40, boxes=BOXES)
BEA = Label(2, "bea", 30, 90, boxes=BOXES)
RATE = 25.0


def claim(entry: str, frame: int, score: float = 0.6, unit: int = 1, owners: tuple[int, ...] = ()) -> Claim:
    return Claim(unit, entry, frame, score, frozenset(owners))


def scores(assessed: Assessed) -> dict[int, float]:
    """Of the false claims."""
    return {unit: one.score for unit, one in assessed.false.items()}


def test_a_score_that_is_repeated_is_no_new_claim() -> None:
    """Ann's passage is carried on by somebody else: her score stands there long after she is gone."""
    claims = [claim("ann", 3, 0.5), claim("ann", 9, 0.7), claim("ann", 99, 0.7), claim("ann", 99, 0.7, unit=2)]
    assert list(increasing(claims)) == [claims[0], claims[1], claims[3]]


def test_a_right_claim_finds_its_label_with_the_best_score() -> None:
    assessed = assess([ANN, BEA], [claim("ann", 3, 0.5, owners=(1,)), claim("ann", 9, 0.7, owners=(1,))], RATE)
    assert (assessed.found, assessed.false) == ({1: 0.7}, {})
    assert assessed.found_at(0.7) == {1}
    assert assessed.found_at(0.71) == set()


def test_a_claim_on_somebody_else_is_false_even_while_the_person_is_in_view() -> None:
    assessed = assess([ANN, BEA], [claim("ann", 35, owners=(2,), unit=9)], RATE)
    assert (assessed.found, scores(assessed)) == ({}, {9: 0.6})


def test_a_claim_after_the_end_is_right_for_two_seconds() -> None:
    assert assess([ANN], [claim("ann", 90)], RATE).found == {1: 0.6}
    assert scores(assess([ANN], [claim("ann", 91)], RATE)) == {1: 0.6}


def test_a_passage_of_two_people_may_find_the_right_one() -> None:
    assert assess([ANN, BEA], [claim("bea", 50, owners=(1, 2))], RATE).found == {2: 0.6}


def test_an_alert_stands_for_the_same_person_who_goes_on_in_its_passage() -> None:
    """After a cut Ann is shown again within two seconds: one passage, one alert, two labels."""
    again = Label(3, "ann", 60, 80, boxes=BOXES)
    assert assess([ANN, again], [claim("ann", 9, owners=(1, 3))], RATE).found == {1: 0.6, 3: 0.6}
    assert assess([ANN, again], [claim("ann", 9, owners=(1,))], RATE).found == {1: 0.6}


def test_a_track_with_many_false_faces_counts_once_with_its_best() -> None:
    assessed = assess([ANN], [claim("eve", 3, 0.5, unit=4), claim("eve", 4, 0.8, unit=4)], RATE)
    assert scores(assessed) == {4: 0.8}
    assert (assessed.false_at(0.8), assessed.false_at(0.81)) == (1, 0)


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=60), st.integers(1, 400), st.floats(0, 0.2))
def test_no_more_than_the_share_alerts_at_the_threshold_found(
    scores: list[float], strangers: int, share: float
) -> None:
    threshold = threshold_for(scores, strangers, share)
    assert sum(score >= threshold for score in scores) <= share * strangers


def test_the_threshold_is_just_above_the_first_score_that_is_not_allowed() -> None:
    assert threshold_for([0.3, 0.5, 0.4], strangers=150, share=0.01) == pytest.approx(0.4, abs=0.001)
    assert threshold_for([0.3, 0.5, 0.4], strangers=99, share=0.01) == pytest.approx(0.5, abs=0.001)


def row(height: float, pose: str, product: bool, naive: bool) -> dict[str, object]:
    found = {"product": product, "naive": naive}
    return {"height_px": height, "pose": pose, "same_threshold": found, "equal_rate": found}


def test_a_band_of_ten_below_the_naive_loop_misses_the_target() -> None:
    rows = [row(60, "turned", False, True)] + [row(60, "turned", True, True)] * (PROVES - 1)
    (band,) = (b for b in bands(rows, "equal_rate") if b["band"] == "48 to 79")
    assert (band["passages"], band["product"], band["naive"], band["fair"]) == (10, 9, 10, False)
    assert not summary({"passages": rows})["met"]


def test_a_band_of_nine_proves_nothing() -> None:
    rows = [row(60, "turned", False, True)] + [row(60, "turned", True, True)] * (PROVES - 2)
    assert summary({"passages": rows})["met"]
    assert not any(band["proves"] for band in bands(rows, "same_threshold"))


@pytest.mark.parametrize(
    ("height", "band"), [(80, "80 px and more"), (79.9, "48 to 79"), (47.9, "32 to 47"), (31, "under 32")]
)
def test_bands_meet_without_a_gap(height: float, band: str) -> None:
    found = [b["band"] for b in bands([row(height, "frontal", True, True)], "equal_rate")]
    assert found == ([band, "frontal", "all in scope"] if height >= 32 else [band])


def test_faces_under_32_px_are_shown_but_decide_nothing() -> None:
    rows = [row(31.9, "frontal", False, True)] * 20
    (band,) = bands(rows, "equal_rate")
    assert (band["naive"], band["product"], band["proves"]) == (20, 0, False)
    assert summary({"passages": rows})["met"]
