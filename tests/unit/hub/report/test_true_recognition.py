"""The true recognition rate: which pass was recognised, with Wilson's interval, and what is withheld."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from device.domain.time import WallTime, wall
from device.evidence.artefact import read, shipped, trusted_keys
from tools.hub.report.blue_tally import BlueTally
from tools.hub.report.evidence_band import evidence_band
from tools.hub.report.true_recognition import SETTLED_S, figures, forget, logged, recognised, settle

START = datetime(2026, 11, 30, 10, 0, tzinfo=timezone.utc)


def at(seconds: float) -> WallTime:
    return wall(START + timedelta(seconds=seconds))


def group_of(ref: str) -> str | None:
    return {"V-1": "glasses", "V-2": "glasses", "V-3": "hat"}.get(ref)


def settled(tally: BlueTally, seconds: float = 1000) -> BlueTally:
    settle(tally, at(seconds), group_of)
    return tally


def test_a_pass_is_recognised_by_what_was_seen_within_the_window_and_by_nothing_else() -> None:
    tally = BlueTally()
    for moment in (0, 100, 200):
        logged(tally, at(moment), None)
    recognised(tally, at(8), "V-1")
    recognised(tally, at(111), "V-1")
    settled(tally)
    assert (tally.passes, tally.recognised, tally.without_pass) == (3, 1, 1)


def test_a_named_pass_takes_its_volunteer_s_recognition_only_and_before_unnamed_ones() -> None:
    tally = BlueTally()
    logged(tally, at(0), None)
    logged(tally, at(1), "V-1")
    recognised(tally, at(2), "V-1")
    settled(tally)
    assert (tally.passes, tally.recognised) == (2, 1)
    assert tally.groups == {"glasses": (1, 1)}
    other = BlueTally()
    logged(other, at(1), "V-2")
    recognised(other, at(2), "V-1")
    settled(other)
    assert (other.recognised, other.groups) == (0, {"glasses": (1, 0)})


def test_two_cameras_do_not_make_two_recognitions_of_one_pass() -> None:
    tally = BlueTally()
    logged(tally, at(0), None)
    logged(tally, at(1), None)
    recognised(tally, at(0), "V-1")
    recognised(tally, at(3), "V-1")
    settled(tally)
    assert (tally.passes, tally.recognised) == (2, 1)


def test_nothing_is_counted_before_it_has_settled_and_then_no_reference_and_no_time_is_left() -> None:
    tally = BlueTally()
    logged(tally, at(0), "V-1")
    recognised(tally, at(1), "V-1")
    settle(tally, at(SETTLED_S - 1), group_of)
    assert (tally.passes, len(tally.waiting_passes)) == (0, 1)
    settle(tally, at(SETTLED_S + 1), group_of)
    assert (tally.passes, tally.recognised, tally.waiting_passes, tally.waiting_seen) == (1, 1, [], [])


def test_who_is_taken_off_leaves_nothing_that_waits() -> None:
    tally = BlueTally()
    logged(tally, at(0), "V-1")
    logged(tally, at(0), None)
    recognised(tally, at(1), "V-1")
    forget(tally, frozenset({"V-1"}))
    assert ([each.ref for each in tally.waiting_passes], tally.waiting_seen) == ([None], [])


def test_the_interval_is_wilsons_and_the_band_is_held_against_the_rate() -> None:
    found = figures(BlueTally(passes=100, recognised=89), (0.90, 0.97))
    assert (round(found.rate.low or 0, 2), round(found.rate.high or 0, 2), found.rate.method) == (0.81, 0.94, "wilson")
    assert found.below
    assert not figures(BlueTally(passes=100, recognised=89), (0.85, 0.97)).below
    assert not figures(BlueTally(passes=9, recognised=0), (0.85, 0.97)).below, "nine passes say nothing"
    nobody = figures(BlueTally(passes=12, recognised=0), None)
    assert (nobody.rate.value, nobody.rate.method, nobody.below) == (0.0, "wilson", False)
    assert nobody.rate.high == pytest.approx(0.2425, abs=1e-4)


def test_groups_under_ten_passes_are_withheld_and_so_is_what_would_show_them() -> None:
    groups = {"glasses": (12, 11), "hat": (9, 2), "scarf": (30, 20)}
    shown = figures(BlueTally(passes=51 + 100, recognised=33, groups=groups), None).groups
    assert shown["hat"] is None
    assert shown["glasses"] is not None
    assert (shown["glasses"].events, shown["glasses"].of) == (11, 12)
    exact = figures(BlueTally(passes=51, recognised=33, groups=groups), None).groups
    assert exact["hat"] is None
    assert exact["glasses"] is None, "the total without it would show the smaller one"
    assert exact["scarf"] is not None


def test_the_band_is_that_of_the_shipped_evidence_for_the_list_s_recogniser_and_length() -> None:
    sha = read(shipped("sface-2021dec"), trusted_keys()).recogniser_sha256
    short, long = evidence_band(frozenset({sha}), 100), evidence_band(frozenset({sha}), 1_822)
    assert short is not None
    assert long is not None
    assert 0.5 < long[0] < short[0] < short[1] <= 1.0, "fewer people are found with a longer list"
    assert evidence_band(frozenset({"0" * 64}), 100) is None
