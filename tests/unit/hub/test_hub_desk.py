"""The operator's desk: what is shown, what is wiped, what is counted."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol

import pytest

from device.domain.finding import Counters, Mode
from device.domain.time import WallTime, rfc3339, wall
from device.hub_api import alert_builder, messages
from device.hub_api.events import decode, encode
from device.hub_api.identifiers import uuid7
from device.hub_api.topics import DeviceTopics, parse
from tests.sample_alerts import NOON, an_alert, changed
from tools.hub.console.desk import MAX_CASES, MAX_PROBES, ORPHAN_S, Desk
from tools.hub.console.view import snapshot
from tools.hub.report.deployment_report import report_of
from tools.hub.report.tallies import Tallies
from tools.hub.storage.folder import ConsoleSettings

TOPICS = DeviceTopics("demo", "cam-1")


class Say(Protocol):
    """cam-1 sends a message, by default on a topic of its own and under a new event id."""

    def __call__(self, data: messages.Message, topic: str = ..., event_id: str | None = ...) -> None: ...


JPEG = b"\xff\xd8\xff\xe0 a picture"


def later(**delta: float) -> WallTime:
    return wall(NOON + timedelta(**delta))


def make_alert(alert_id: str = "a-1", **changes: Any) -> messages.Alert:
    alert: messages.Alert = changed(an_alert(alert_id), **changes)
    return alert


def erasure(alert_id: str | None, reason: messages.ErasureReason) -> messages.Erasure:
    return alert_builder.erasure_of("alert", count=1, alert_id=alert_id, reason=reason, mode=Mode.DEMO, at=NOON)


@pytest.fixture
def say(desk: Desk) -> Say:
    """A device says something to the desk."""

    def saying(data: messages.Message, topic: str = TOPICS.stats, event_id: str | None = None) -> None:
        payload = encode(data, event_id=event_id or uuid7(NOON), source=TOPICS.base, subject="x", at=NOON)
        place = parse(topic)
        assert place is not None
        desk.take(place, decode(payload), NOON)

    return saying


def test_an_alert_becomes_a_case_with_the_hubs_own_label(desk: Desk, say: Say, settings: ConsoleSettings) -> None:
    say(make_alert())
    desk.take_probe("cam-1", "a-1", JPEG, NOON)
    shown = snapshot(desk, settings, now=NOON, operator="present", broker_online=True, broker_text="")["cases"][0]
    assert (shown["label"], shown["category"], shown["response_code"]) == ("Person A", "missing", "R3")
    assert (shown["probe"], shown["reference"], shown["mode"]) == (1, True, "demo")


def test_a_case_shows_what_contradicts_it_and_that_its_picture_was_damaged(
    desk: Desk, say: Say, settings: ConsoleSettings
) -> None:
    against = [messages.Contradiction(alert_id=other, camera_id="front") for other in ("a-2", "gone")]
    say(make_alert("a-1", contradicted_by=against, picture_damaged=True))
    say(make_alert("a-2"))
    cases = snapshot(desk, settings, now=NOON, operator="present", broker_online=True, broker_text="")["cases"]
    shown = {case["id"]: case for case in cases}
    seen_at = shown["a-2"]["captured_at"]
    known, unknown = {"id": "a-2", "captured_at": seen_at}, {"id": "gone", "captured_at": None}
    assert shown["a-1"]["contradicted_by"] == [known, unknown]
    assert (shown["a-1"]["picture_damaged"], shown["a-2"]["picture_damaged"]) == (True, False)
    assert shown["a-2"]["contradicted_by"] == []


def test_a_camera_whose_pictures_arrive_damaged_is_shown_as_such(
    desk: Desk, say: Say, settings: ConsoleSettings
) -> None:
    say(messages.Status(mode=None, status="online", boot_id="b", bd_seq=1), TOPICS.status)
    for camera, damaged in (("front", True), ("back", False)):
        status = messages.CameraStatus(
            mode=Mode.DEMO, camera_id=camera, status="online", since=rfc3339(NOON), damaged=damaged
        )
        say(status, TOPICS.camera_status(camera))
    shown = snapshot(desk, settings, now=NOON, operator="present", broker_online=True, broker_text="")["devices"][0]
    assert shown["cameras"] == {"back": "online", "front": "online, pictures damaged"}


def test_revisions_update_the_case_and_older_ones_do_not(desk: Desk, say: Say, tallies: Tallies) -> None:
    say(make_alert(revision=1, score=0.8))
    say(make_alert(revision=3, score=0.9))
    say(make_alert(revision=2, score=0.1))
    assert [c.alert.score for c in desk.cases.values()] == [0.9]
    assert tallies.book.deployments["d-1"].alerts_received == 1


def test_the_same_revision_under_another_event_id_counts_once(desk: Desk, say: Say, tallies: Tallies) -> None:
    for revision in (0, 0, 1, 1, 0):
        say(make_alert(revision=revision))
    for picture in (JPEG, JPEG, JPEG + b"2", JPEG + b"2"):
        desk.take_probe("cam-1", "a-1", picture, NOON)
    tally = tallies.book.deployments["d-1"]
    assert (tally.alerts_received, tally.revisions_received, tally.probes_received) == (1, 1, 2)
    assert desk.pictures["a-1"].version == 2


def test_a_picture_that_overtook_its_alert_counts_all_the_same(desk: Desk, say: Say, tallies: Tallies) -> None:
    desk.take_probe("cam-1", "a-1", JPEG, NOON)
    say(make_alert())
    assert tallies.book.deployments["d-1"].probes_received == 1


def test_counts_that_arrive_late_do_not_turn_the_counters_back(desk: Desk, say: Say, tallies: Tallies) -> None:
    def stats(faces: int, at: WallTime, boot: str = "b-1") -> messages.Stats:
        counters = Counters(faces_seen=faces)
        return alert_builder.stats_from(counters, mode=Mode.DEMO, boot_id=boot, fps=1.0, at=at, deployment_id="d-1")

    say(stats(9, later(seconds=9)))
    say(stats(5, later(seconds=5)))
    shown = desk.devices["cam-1"].stats
    assert shown is not None
    assert shown.faces_seen == 9
    assert tallies.book.deployments["d-1"].total("faces_seen") == 9
    say(stats(1, later(seconds=12), "b-2"))
    assert tallies.book.deployments["d-1"].total("faces_seen") == 10


def test_at_the_end_everything_of_the_device_goes_even_a_picture_without_its_case(desk: Desk, say: Say) -> None:
    say(make_alert())
    for alert_id in ("a-1", "a-2"):
        desk.take_probe("cam-1", alert_id, JPEG, NOON)
    desk.take_probe("cam-2", "a-3", JPEG, NOON)
    say(erasure(None, "end_of_deployment"), TOPICS.erasure)
    assert (list(desk.cases), list(desk.pictures)) == ([], ["a-3"])
    desk.take_probe("cam-1", "a-2", JPEG, NOON)
    assert list(desk.pictures) == ["a-3"]


def test_a_true_alert_stays_until_its_own_time(desk: Desk, say: Say, settings: ConsoleSettings) -> None:
    say(make_alert())
    desk.take_probe("cam-1", "a-1", JPEG, NOON)
    desk.judge("a-1", "true_alert")
    desk.tick(later(hours=23))
    shown = snapshot(desk, settings, now=NOON, operator="present", broker_online=True, broker_text="")["cases"][0]
    assert (shown["outcome"], shown["probe"], shown["delete_by"]) == ("true_alert", 1, rfc3339(later(hours=24)))
    desk.tick(later(hours=24))
    assert (desk.cases, desk.pictures) == ({}, {})


def test_a_repeated_event_counts_once(desk: Desk, say: Say, tallies: Tallies) -> None:
    for _ in range(3):
        say(erasure("a-9", "expiry"), event_id="same")
    assert sum(t.erasures.get("alert.expiry", 0) for t in tallies.book.deployments.values()) == 1


def test_a_false_alert_goes_at_once_with_its_picture_and_never_comes_back(
    desk: Desk, say: Say, tallies: Tallies
) -> None:
    say(make_alert())
    desk.take_probe("cam-1", "a-1", JPEG, NOON)
    assert desk.judge("a-1", "false_alert") is not None
    assert (desk.cases, desk.pictures) == ({}, {})
    say(make_alert(revision=5))
    desk.take_probe("cam-1", "a-1", JPEG, NOON)
    assert (desk.cases, desk.pictures) == ({}, {})
    assert tallies.book.deployments["d-1"].outcomes == {"false_alert": 1}


def test_changing_ones_mind_moves_the_count(desk: Desk, say: Say, tallies: Tallies) -> None:
    say(make_alert())
    desk.judge("a-1", "true_alert")
    desk.follow("a-1", "engagement", "confirmed_true")
    desk.follow("a-1", "engagement", "confirmed_false")
    desk.judge("a-1", "false_alert")
    tally = tallies.book.deployments["d-1"]
    assert tally.outcomes == {"true_alert": 0, "false_alert": 1}
    assert tally.engagements == {"confirmed_true": 0, "confirmed_false": 1}


@pytest.mark.parametrize(("receipt", "left"), [("a-1", ["a-2"]), (None, [])])
def test_what_a_device_erased_is_wiped_here_too(desk: Desk, say: Say, receipt: str | None, left: list[str]) -> None:
    say(make_alert())
    say(make_alert("a-2"))
    say(erasure(receipt, "end_of_deployment"), TOPICS.erasure)
    assert list(desk.cases) == left


def test_a_case_goes_by_itself_when_its_time_is_over(desk: Desk, say: Say) -> None:
    say(make_alert())
    desk.take_probe("cam-1", "a-1", JPEG, NOON)
    assert not desk.tick(later(hours=23, minutes=59))
    assert desk.tick(later(hours=24))
    assert (desk.cases, desk.pictures) == ({}, {})


def test_a_picture_without_a_case_goes_after_a_minute(desk: Desk) -> None:
    desk.take_probe("cam-1", "a-1", JPEG, NOON)
    desk.tick(later(seconds=ORPHAN_S - 1))
    assert "a-1" in desk.pictures
    desk.tick(later(seconds=ORPHAN_S + 1))
    assert desk.pictures == {}


def test_the_desk_is_bounded(desk: Desk, say: Say) -> None:
    for n in range(MAX_CASES + 5):
        say(make_alert(f"a-{n}"))
        desk.take_probe("cam-1", f"a-{n}", JPEG, NOON)
    assert len(desk.cases) == MAX_CASES
    assert len(desk.pictures) <= MAX_PROBES
    assert f"a-{MAX_CASES + 4}" in desk.cases


def test_a_device_cannot_push_another_ones_pictures_off_the_desk(desk: Desk, say: Say) -> None:
    desk.expect("cam-2")
    say(make_alert("a-1"))
    desk.take_probe("cam-1", "a-1", JPEG, NOON)
    for i in range(2 * MAX_PROBES):
        desk.take_probe("cam-2", f"invented-{i}", JPEG, NOON)
    assert desk.pictures["a-1"].jpeg == JPEG
    theirs = [a for a, p in desk.pictures.items() if p.device == "cam-2"]
    assert len(theirs) == MAX_PROBES // len(desk.devices)
    assert theirs[-1] == f"invented-{2 * MAX_PROBES - 1}", "its own oldest ones went"


def test_what_leaves_a_full_desk_unjudged_is_counted_on_the_page_and_in_the_report(
    desk: Desk, say: Say, settings: ConsoleSettings, tallies: Tallies
) -> None:
    for n in range(MAX_CASES):
        say(make_alert(f"a-{n}"))
    desk.judge("a-7", "true_alert")
    say(make_alert("b-1"))
    assert "a-7" not in desk.cases
    assert desk.left_unjudged == 0
    say(make_alert("b-2"))
    assert "a-0" not in desk.cases
    shown = snapshot(desk, settings, now=NOON, operator="present", broker_online=True, broker_text="")
    assert shown["left_unjudged"] == 1
    remarks = report_of(tallies.book.deployments["d-1"]).remarks
    assert "1 alerts were erased without a judgement: the desk was full" in remarks


def test_open_cases_are_shown_before_judged_ones(desk: Desk, say: Say, settings: ConsoleSettings) -> None:
    say(make_alert("a-1"))
    say(make_alert("a-2"))
    desk.judge("a-2", "true_alert")
    shown = snapshot(desk, settings, now=NOON, operator="present", broker_online=True, broker_text="")["cases"]
    assert [c["id"] for c in shown] == ["a-1", "a-2"]


def test_counts_are_summed_over_boots_and_not_over_repetitions(say: Say, tallies: Tallies) -> None:
    for boot, faces in (("b-1", 10), ("b-1", 20), ("b-2", 5)):
        counters = Counters(faces_seen=faces, discarded=faces)
        say(alert_builder.stats_from(counters, mode=Mode.DEMO, boot_id=boot, fps=1.0, at=NOON, deployment_id="d-1"))
    assert tallies.book.deployments["d-1"].total("faces_seen") == 25


def test_the_saved_counts_point_to_nobody_and_are_read_again(
    desk: Desk, say: Say, tallies: Tallies, tmp_path: Path
) -> None:
    alert = make_alert(uuid7(NOON))
    say(alert)
    say(erasure(alert.alert_id, "retention"), TOPICS.erasure)
    tallies.save()
    text = (tmp_path / "report.json").read_text()
    assert alert.alert_id not in text
    assert "e-042" not in text
    again = Tallies(tmp_path / "report.json").book.deployments["d-1"]
    assert (again.alerts_received, again.erasures) == (1, {"alert.retention": 1})


def test_a_broken_report_file_is_set_aside(tmp_path: Path) -> None:
    (tmp_path / "report.json").write_text("{broken")
    assert Tallies(tmp_path / "report.json").book.deployments == {}
    assert (tmp_path / "report.broken.json").exists()


def test_what_a_device_sent_before_its_deployment_is_known_counts_for_it(say: Say, tallies: Tallies) -> None:
    engine = make_alert().engine
    birth = messages.Birth(
        mode=None,
        device_id="cam-1",
        boot_id="b",
        bd_seq=0,
        software_version="1.2",
        cameras=[],
        engine=engine,
        schemas=[],
    )
    say(birth, TOPICS.birth)
    say(messages.WatchlistState(mode=None, watchlist_id="w", sha256=None, subjects=7, images=9), TOPICS.watchlist_state)
    say(
        messages.DeviceState(
            mode=Mode.TEST, state="armed", since=rfc3339(NOON), inhibit_reasons=[], deployment_id="d-2"
        )
    )
    tally = tallies.book.deployments["d-2"]
    assert (tally.versions["software"], tally.watchlist_subjects, tally.watchlist_images) == ("1.2", 7, 9)
