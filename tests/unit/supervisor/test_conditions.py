"""The condition tables as data, and the policy that follows from them."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device.domain.conditions import ConditionName
from device.domain.finding import Mode
from device.supervisor.conditions import evaluation, policy, predicates
from device.supervisor.conditions.condition import KnownFrom, Result
from device.supervisor.conditions.snapshot import (
    CameraView,
    DeploymentView,
    OperatingView,
    SignView,
    Snapshot,
    ThermalView,
)
from device.supervisor.conditions.tables import ARM, RUN
from device.supervisor.state_machine import Event, State

LIST = ("wl-1", "a" * 64, 3, 3)
DEPLOYMENT = DeploymentView(
    id="d-1",
    mode=Mode.OPERATIONAL,
    names_this_device=True,
    in_window=True,
    window="09:00 to 17:00",
    max_watchlist_size=5000,
    watchlist=LIST,
    signed=True,
)
POINT = OperatingView(predicted=3e-4, bound=9e-4, limit=1e-3, problem="")
GOOD = Snapshot(
    live=True,
    deployment=DEPLOYMENT,
    watchlists=(LIST,),
    operating_points=(POINT,),
    incomplete=(0,),
    engines=("",),
    protections=(predicates.MEMORY_LOCK,),
    references=("",),
    cameras={"front": CameraView.ONLINE},
    sign=SignView(driven=True, sensed=True, proved=True, settling=False, follows=True),
    hub_absent_s=0.0,
    operator="present",
    clock_synchronised=True,
    disk_free_bytes=10**10,
    thermal=ThermalView(in_range=True),
)
DARK = SignView(driven=True, sensed=False, proved=False, settling=False)

BAD: dict[str, tuple[dict[str, Any], set[str]]] = {
    "no deployment": ({"deployment": None}, {"deployment loaded"}),
    "outside the window": (
        {"deployment": dataclasses.replace(DEPLOYMENT, in_window=False)},
        {"deployment in its window", "deployment still in its window"},
    ),
    "another device": (
        {"deployment": dataclasses.replace(DEPLOYMENT, names_this_device=False)},
        {"deployment for this device"},
    ),
    "an unsigned deployment": ({"deployment": dataclasses.replace(DEPLOYMENT, signed=False)}, {"deployment signed"}),
    "no envelope": (
        {"deployment": dataclasses.replace(DEPLOYMENT, sealed=False)},
        {"watchlist sealed to this device"},
    ),
    "an expired list": ({"deployment": dataclasses.replace(DEPLOYMENT, fresh=False)}, {"watchlist fresh"}),
    "entries without a category": ({"incomplete": (0, 2)}, {"watchlist entries"}),
    "a refusal": ({"refusals": {"watchlist size": "11 people"}}, {"watchlist size"}),
    "another list": ({"watchlists": (("wl-1", "b" * 64, 3, 3),)}, {"watchlist loaded"}),
    "a list too long": (
        {"deployment": dataclasses.replace(DEPLOYMENT, max_watchlist_size=2)},
        {"watchlist size"},
    ),
    "too many false alerts": (
        {"operating_points": (POINT, dataclasses.replace(POINT, bound=1.2e-3))},
        {"operating point"},
    ),
    "no evidence": (
        {"operating_points": (dataclasses.replace(POINT, predicted=None, bound=None),)},
        {"operating point"},
    ),
    "a list beyond the evidence": (
        {"operating_points": (dataclasses.replace(POINT, problem="20000 listed, the evidence ends at 11990"),)},
        {"operating point"},
    ),
    "a broken engine": ({"engines": ("no hash",)}, {"engine self-test"}),
    "memory that can be swapped": ({"protections": (predicates.MEMORY_LOCK - {"memory_locked"},)}, {"memory locked"}),
    "an engine that differs": ({"references": ("", "template by 0.5")}, {"engine agrees with reference"}),
    "a clock adrift": ({"clock_synchronised": False}, {"clock synchronised", "clock trusted"}),
    "a clock set back": ({"clock_set_back": "it was set back: it says …"}, {"clock trusted"}),
    "a full disk": ({"disk_free_bytes": 10}, {"disk reserve", "disk"}),
    "a discharge lamp in earnest": (
        {"sign": dataclasses.replace(GOOD.sign, pulses=False)},
        {"sign can prove itself"},
    ),
    "a dark sign": ({"sign": DARK}, {"sign seen dark, then lit", "sign sensed lit"}),
    "a light that is not the sign's": (
        {"sign": dataclasses.replace(GOOD.sign, follows=False, finding="sensed lit in 3 of 3 dark slots")},
        {"sign follows its pulse"},
    ),
    "a disk that hangs": ({"disk_free_bytes": None}, {"disk reserve", "disk"}),
    "a read-only disk": ({"unkept": "state folder: it is mounted read-only"}, {"state folder takes writes"}),
    "a hot machine": ({"thermal": ThermalView(in_range=False, finding="tj 101 °C")}, {"temperature"}),
    "a machine without sensors": ({"thermal": ThermalView()}, {"temperature"}),
    "a sign that shines by itself": (
        {"sign": SignView(driven=False, sensed=True, settling=False)},
        {"sign dark when off"},
    ),
    "a hub never heard": ({"hub_absent_s": None}, {"hub and operator present"}),
    "a hub away": ({"hub_absent_s": 5.1}, {"hub and operator present"}),
    "no operator": ({"operator": "absent"}, {"hub and operator present"}),
    "a simulated operator": ({"operator": "simulated"}, {"hub and operator present"}),
    "a lost camera": ({"cameras": {"front": CameraView.OFFLINE}}, {"camera live"}),
    "a frozen camera": ({"cameras": {"front": CameraView.FROZEN}}, {"camera live"}),
    "a disabled camera": ({"cameras": {"front": CameraView.DISABLED}}, {"camera live"}),
    "STOP": ({"stop": "the button"}, {"no STOP"}),
}


def failing(snapshot: Snapshot) -> set[str]:
    return {e.condition.name for e in evaluation.failing(evaluation.evaluate(snapshot))}


def test_the_good_case_holds() -> None:
    evaluations = evaluation.evaluate(GOOD)
    assert evaluation.all_hold(evaluations)
    assert evaluation.may_watch(evaluations)
    assert failing(GOOD) == set()


@pytest.mark.parametrize("case", BAD)
def test_one_thing_wrong_fails_its_own_rows_and_no_others(case: str) -> None:
    changes, rows = BAD[case]
    snapshot = dataclasses.replace(GOOD, **changes)
    assert failing(snapshot) == rows
    assert not evaluation.all_hold(evaluation.evaluate(snapshot))


def test_every_required_row_fails_in_some_case() -> None:
    required = {condition.name for condition in (*ARM, *RUN)}
    assert set().union(*(rows for _, rows in BAD.values())) == required


def test_every_row_says_what_an_operator_needs() -> None:
    names = [condition.name for condition in (*ARM, *RUN)]
    assert len(set(names)) == len(names)
    for condition in (*ARM, *RUN):
        assert condition.text
        assert condition.rule.startswith("R")
        assert condition.wrong
        assert condition.remedy


def test_every_name_has_one_condition_in_the_order_of_the_tables() -> None:
    assert [condition.name for condition in (*ARM, *RUN)] == list(ConditionName)


def test_only_an_operational_deployment_requires_the_memory_lock_and_the_others_say_that_they_lack_it() -> None:
    unlocked = dataclasses.replace(GOOD, protections=(frozenset({"core_limit_0", "not_dumpable", "no_file_writes"}),))
    (operational,) = (r for r in evaluation.evaluate(unlocked) if r.condition.name == "memory locked")
    assert operational.result is Result.FAILS
    assert "(memory_locked); give the service LimitMEMLOCK" in operational.text
    demo = dataclasses.replace(unlocked, deployment=dataclasses.replace(DEPLOYMENT, mode=Mode.DEMO))
    (shown,) = (r for r in evaluation.evaluate(demo) if r.condition.name == "memory locked")
    assert (shown.result, shown.text.partition(" (")[0]) == (Result.HOLDS, "memory lock: no")
    (good,) = (r for r in evaluation.evaluate(GOOD) if r.condition.name == "memory locked")
    assert good.text == "memory lock: yes"


def test_the_predicted_rate_is_shown_with_its_bound_when_it_is_good_and_when_it_is_not() -> None:
    def text(**changes: Any) -> str:
        point = dataclasses.replace(POINT, **changes)
        evaluations = evaluation.evaluate(dataclasses.replace(GOOD, operating_points=(POINT, point)))
        return next(r.text for r in evaluations if r.condition.name == "operating point")

    assert text().startswith(
        "0.3 false alerts in 1,000 faces are predicted for this list, at most 0.9; the limit is 1.0"
    )
    assert "(up to 1.2 in 1,000 faces, limit 1.0)" in text(bound=1.2e-3)
    assert "(no evidence)" in text(predicted=None, bound=None)
    assert "(the evidence ends at 11990)" in text(problem="the evidence ends at 11990")


def test_a_refusal_is_printed_with_the_text_of_its_condition() -> None:
    refused = dataclasses.replace(GOOD, refusals={ConditionName.DEPLOYMENT_SIGNED: "officers.json bears no signature"})
    text = evaluation.failing(evaluation.evaluate(refused))[0].text
    assert "are not valid (officers.json bears no signature); have it signed" in text


@pytest.mark.parametrize("live", [False, True])
@pytest.mark.parametrize("mode", list(Mode))
def test_no_mode_and_no_recording_does_without_signatures(mode: Mode, live: bool) -> None:
    nobodys = dataclasses.replace(DEPLOYMENT, mode=mode, signed=False)
    assert failing(dataclasses.replace(GOOD, live=live, deployment=nobodys)) == {"deployment signed"}


def test_a_failing_text_names_fault_finding_and_remedy() -> None:
    failed = evaluation.failing(evaluation.evaluate(dataclasses.replace(GOOD, stop="the button")))[0]
    assert failed.text == "STOP (the button); restart, or send `resume` from the hub"


def test_a_condition_that_holds_for_another_reason_states_it() -> None:
    demo = dataclasses.replace(DEPLOYMENT, mode=Mode.DEMO)
    excused = dataclasses.replace(
        GOOD, live=False, deployment=demo, clock_synchronised=False, operator="simulated", thermal=ThermalView()
    )
    texts = {e.condition.name: e.text for e in evaluation.evaluate(excused)}
    assert failing(excused) == set()
    assert texts[ConditionName.CLOCK_TRUSTED] == texts[ConditionName.CLOCK_SYNCHRONISED]
    assert "not synchronised" in texts[ConditionName.CLOCK_TRUSTED]
    assert "simulated operator" in texts[ConditionName.HUB_AND_OPERATOR_PRESENT]
    assert "no temperature was read yet" in texts[ConditionName.TEMPERATURE]
    steady = dataclasses.replace(GOOD, sign=dataclasses.replace(GOOD.sign, pulses=False))
    assert (
        "follows no pulse"
        in {r.condition.name: r.text for r in evaluation.evaluate(steady)}[ConditionName.SIGN_FOLLOWS_ITS_PULSE]
    )


def test_an_absent_hub_is_explained_by_the_state_of_the_connection() -> None:
    for absent_s in (None, 6.0):
        away = dataclasses.replace(
            GOOD, hub_absent_s=absent_s, link="the broker refused our certificate: it was revoked"
        )
        (condition,) = [r for r in evaluation.evaluate(away) if r.condition.name == "hub and operator present"]
        assert "the broker refused our certificate: it was revoked" in condition.text


def test_a_short_absence_of_the_hub_is_bridged() -> None:
    assert failing(dataclasses.replace(GOOD, hub_absent_s=4.9)) == set()


def test_one_live_camera_is_enough() -> None:
    cameras = {"front": CameraView.ONLINE, "rear": CameraView.OFFLINE}
    assert failing(dataclasses.replace(GOOD, cameras=cameras)) == set()


def test_recordings_outside_operational_mode_need_no_synchronised_clock() -> None:
    demo = dataclasses.replace(DEPLOYMENT, mode=Mode.DEMO)
    recorded = dataclasses.replace(GOOD, live=False, deployment=demo, clock_synchronised=False)
    assert failing(recorded) == set()
    assert "clock trusted" in failing(dataclasses.replace(recorded, deployment=DEPLOYMENT))
    assert "clock trusted" not in failing(dataclasses.replace(recorded, clock_set_back="it was set back"))


@pytest.mark.parametrize(
    ("live", "mode", "enough"),
    [
        (False, Mode.DEMO, True),
        (False, Mode.TEST, True),
        (False, Mode.OPERATIONAL, False),
        (True, Mode.DEMO, False),
        (True, Mode.OPERATIONAL, False),
    ],
)
def test_a_simulated_operator_counts_for_recordings_outside_operational_mode_only(
    live: bool, mode: Mode, enough: bool
) -> None:
    vouched = dataclasses.replace(
        GOOD, live=live, deployment=dataclasses.replace(DEPLOYMENT, mode=mode), operator="simulated"
    )
    assert failing(vouched) == (set() if enough else {"hub and operator present"})
    if not enough:
        assert "its operator is simulated" in evaluation.failing(evaluation.evaluate(vouched))[0].text


def test_a_live_demonstration_is_held_to_ten_subjects() -> None:
    eleven = ("wl-1", "a" * 64, 11, 11)
    demo = dataclasses.replace(DEPLOYMENT, mode=Mode.DEMO, watchlist=eleven)
    live = dataclasses.replace(GOOD, deployment=demo, watchlists=(eleven,))
    assert failing(live) == {"watchlist size"}
    assert failing(dataclasses.replace(live, live=False)) == set()


def test_what_is_not_known_yet_neither_fails_nor_holds() -> None:
    fresh = dataclasses.replace(
        GOOD,
        watchlists=(),
        operating_points=(),
        incomplete=(),
        engines=(),
        protections=(),
        references=(),
        cameras={"front": CameraView.STOPPED},
        sign=SignView(driven=True, sensed=False, settling=True),
    )
    evaluations = evaluation.evaluate(fresh)
    pending = {r.condition.name for r in evaluations if r.result is Result.PENDING}
    assert pending == {r.condition.name for r in evaluations if r.condition.known_from is not KnownFrom.DEVICE}
    assert evaluation.may_light(evaluations)
    assert not evaluation.may_watch(evaluations)
    assert failing(fresh) == set()


SNAPSHOTS = st.builds(
    lambda cases: dataclasses.replace(GOOD, **{key: value for case in cases for key, value in BAD[case][0].items()}),
    st.lists(st.sampled_from(sorted(BAD)), max_size=4),
)


@given(SNAPSHOTS, st.sampled_from(State), st.booleans())
def test_no_lit_sign_no_sight(snapshot: Snapshot, state: State, were_wanted: bool) -> None:
    evaluations = evaluation.evaluate(snapshot)
    if policy.workers_wanted(state, evaluations, clear_s=100.0, were_wanted=were_wanted):
        assert snapshot.sign.driven
        assert snapshot.sign.sensed
        assert snapshot.sign.proved
        assert snapshot.operator == "present"
        assert snapshot.stop is None


@given(SNAPSHOTS, st.sampled_from(State))
def test_the_sign_is_lit_while_any_worker_lives(snapshot: Snapshot, state: State) -> None:
    assert policy.sign_wanted(state, evaluation.evaluate(snapshot), any_worker=True)


@given(SNAPSHOTS)
def test_a_failing_condition_ends_recognition_at_once(snapshot: Snapshot) -> None:
    evaluations = evaluation.evaluate(snapshot)
    expected = Event.INHIBIT if evaluation.failing(evaluations) else None
    assert policy.next_event(State.RECOGNISING, evaluations, clear_s=100.0, over=False) is expected


@given(SNAPSHOTS, st.floats(0, 10))
def test_recovery_needs_a_second_without_a_fault(snapshot: Snapshot, clear_s: float) -> None:
    evaluations = evaluation.evaluate(snapshot)
    expected = Event.RECOVER if clear_s >= 1.0 and not evaluation.failing(evaluations) else None
    assert policy.next_event(State.INHIBITED, evaluations, clear_s=clear_s, over=False) is expected


@given(SNAPSHOTS, st.sampled_from(State))
def test_the_end_comes_before_everything(snapshot: Snapshot, state: State) -> None:
    expected = None if state is State.ENDING else Event.END
    assert policy.next_event(state, evaluation.evaluate(snapshot), clear_s=0.0, over=True) is expected
