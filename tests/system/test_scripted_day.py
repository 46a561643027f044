"""The scripted day: its report is the script's truth, and nothing personal is left on any disk of the van."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system import left_behind
from tests.system.scripted_day import BACK_WITHIN_S, DEVICES, Day, differences

pytestmark = pytest.mark.system

KINDS = {"probe", "reference", "template", "name", "entry"}
NOT_KNOWN_TO_THE_HUB = {"duration_min", "refusals", "audit_chain", "uncounted_s"}


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Day]:
    played = Day(tmp_path_factory.mktemp("day"), seed=7)
    try:
        played.play()
        yield played
    finally:
        played.running.stop()


def test_every_column_of_the_audited_report_is_the_scripts_truth(day: Day) -> None:
    assert differences(day.report(*DEVICES), day.expected()) == {}


def test_the_hubs_own_counts_are_the_truth_as_far_as_it_knows_it(day: Day) -> None:
    report = day.report()
    found = differences(report, day.expected())
    assert set(found) == NOT_KNOWN_TO_THE_HUB, found
    assert not report["duration_min"]
    assert not report["refusals"]
    assert not report["uncounted_s"]


def test_the_audit_logs_know_for_how_long_anybody_could_be_recognised(day: Day) -> None:
    """Through cuts, kills, a reboot, and on two devices at the same time; polled from outside every 50 ms."""
    assert day.recognised_s() == pytest.approx(day.truth.recognising_s, abs=1.5)


def test_the_signed_report_verifies(day: Day) -> None:
    assert "not changed since" in day.signed_report()


def test_an_open_alert_is_on_the_page_again_after_a_kill_of_the_hub(day: Day) -> None:
    assert max(day.truth.back_s) <= BACK_WITHIN_S


def test_the_search_finds_everything_while_it_may_be_there(day: Day) -> None:
    """The control: at noon the hub's disk gives the open case's probe, the list and the names."""
    assert {trace.what for trace in day.found_at_noon} == KINDS
    probes = {trace.whose for trace in day.found_at_noon if trace.what == "probe"}
    assert {"1.0", "4.0"} <= probes, "of cases that are open or kept"
    assert not {"2.0", "3.0"} & probes, "of incorrect alerts"


def test_a_devices_disk_alone_opens_no_picture_no_template_and_no_name(day: Day) -> None:
    assert {trace.what for trace in day.on_one_device_at_noon} <= {"entry"}


def test_after_the_end_only_the_held_case_is_left(day: Day) -> None:
    left = day.left_with_the_hold
    assert {trace.what for trace in left} == {"probe", "entry"}
    assert {trace.whose for trace in left if trace.what == "probe"} == {"6.2"}, "its last picture"
    places = {Path(trace.place.split(",")[0]).parent.name for trace in left}
    assert places == {"holds", "state"}


def test_nothing_personal_is_left_once_the_hold_is_released(day: Day) -> None:
    assert day.search() == []


@pytest.mark.parametrize("place", ["hub/desk.sqlite", "cam-2/state/audit/audit.jsonl", "logs/hub.log", "hub/new.bin"])
def test_the_search_finds_what_is_put_there(day: Day, place: str) -> None:
    """The control after the end: one piece of each kind, raw, in hexadecimal and in base64, in files of each sort."""
    file, wanted = day.van.folder / place, {each.what: each for each in day.wanted()}
    before = file.read_bytes() if file.exists() else None
    try:
        for one in wanted.values():
            content = one.forms[0]
            for form in (content, content.hex().encode(), base64.b64encode(b"x" + content)):
                file.write_bytes((before or b"") + b"{" + form + b"}")
                assert [(trace.what, trace.whose) for trace in left_behind.search((file.parent,), [one])] == [
                    (one.what, one.whose)
                ]
    finally:
        file.unlink()
        if before is not None:
            file.write_bytes(before)
