"""An alert under a hold stays past its time and past the deployment's end, until its hold ends; then it goes."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from device import eraser
from device.domain.time import MonotonicNs, WallTime, wall
from device.outbox.holds import Kind
from device.outbox.message import OutboxMessage
from device.outbox.retry import MessageClass
from device.outbox.store import Outbox

NOON = wall(datetime(2026, 11, 30, 12, 0, tzinfo=timezone.utc))


def later(**delta: float) -> WallTime:
    return wall(NOON + timedelta(**delta))


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    made = Outbox(tmp_path / "outbox.sqlite", NOON)
    for alert_id in ("a-1", "a-2"):
        made.put(
            OutboxMessage(
                id=f"m-{alert_id}",
                kind=MessageClass.ALERT,
                topic="t",
                payload=b"alert",
                content_type="c",
                delete_by=later(hours=24),
                alert_id=alert_id,
            )
        )
        made.report(f"m-{alert_id}", accepted=True, acknowledged=True, monotonic=MonotonicNs(1))
    yield made
    made.close()


def purged(outbox: Outbox, at: WallTime) -> list[tuple[str, str]]:
    return [(gone.alert_id, gone.reason) for gone in outbox.erase_expired(at, clock_trusted=False)]


def test_a_held_alert_goes_at_the_end_of_its_hold_and_not_before(outbox: Outbox) -> None:
    assert outbox.hold("a-1", "evidence", later(days=90))
    assert purged(outbox, later(hours=25)) == [("a-2", "retention")]
    assert purged(outbox, later(days=89)) == []
    assert purged(outbox, later(days=90)) == [("a-1", "end_of_hold")]
    assert (outbox.alerts_held(), outbox.under_hold()) == ([], [])


def test_a_hold_is_renewed_and_survives_a_restart(outbox: Outbox, tmp_path: Path) -> None:
    outbox.hold("a-1", "evidence", later(days=30))
    outbox.hold("a-1", "evidence", later(days=60))
    again = Outbox(tmp_path / "outbox.sqlite", NOON)
    assert ("a-1", "end_of_hold") not in purged(again, later(days=31))
    assert purged(again, later(days=61)) == [("a-1", "end_of_hold")]
    again.close()


def updated(outbox: Outbox) -> None:
    """Store a later revision of a-1, with its ordinary times."""
    assert outbox.put(
        OutboxMessage(
            id="m-a-1-updated",
            kind=MessageClass.ALERT,
            topic="t",
            payload=b"alert",
            content_type="c",
            expires_at=later(hours=1),
            delete_by=later(hours=24),
            alert_id="a-1",
            revision=1,
        )
    )


@pytest.mark.parametrize("delivered", [True, False])
def test_a_later_revision_does_not_end_the_hold(outbox: Outbox, tmp_path: Path, delivered: bool) -> None:
    outbox.hold("a-1", "evidence", later(days=90))
    updated(outbox)
    if delivered:
        outbox.report("m-a-1-updated", accepted=True, acknowledged=True, monotonic=MonotonicNs(1))
    assert purged(outbox, later(hours=2)) == []
    assert eraser.erase(tmp_path, round(later(hours=25).timestamp() * 1000)) == 1, "a-2 alone"
    assert purged(outbox, later(hours=25)) == [("a-2", "retention")]
    assert (outbox.alerts_held(), outbox.under_hold()) == (["a-1"], ["a-1"])
    assert purged(outbox, later(days=90)) == [("a-1", "end_of_hold")]


def test_a_release_gives_a_later_revision_its_ordinary_time_back(outbox: Outbox) -> None:
    outbox.hold("a-1", "evidence", later(days=90))
    updated(outbox)
    outbox.report("m-a-1-updated", accepted=True, acknowledged=True, monotonic=MonotonicNs(1))
    assert outbox.release("a-1", later(hours=1), clock_trusted=False) == []
    assert ("a-1", "retention") in purged(outbox, later(hours=25))


def test_a_release_after_its_ordinary_time_erases_at_once_and_before_it_gives_the_time_back(outbox: Outbox) -> None:
    for alert_id in ("a-1", "a-2"):
        outbox.hold(alert_id, "evidence", later(days=90))
    assert outbox.release("a-1", later(hours=1), clock_trusted=False) == []
    assert purged(outbox, later(hours=25)) == [("a-1", "retention")]
    gone = outbox.release("a-2", later(days=2), clock_trusted=False)
    assert [(each.alert_id, each.reason) for each in gone] == [("a-2", "end_of_hold")]


def test_the_end_of_a_deployment_leaves_what_is_held_and_the_tamper_line_does_not(outbox: Outbox) -> None:
    outbox.hold("a-1", "evidence", later(days=90))
    outbox.end_at(later(hours=2))
    assert [gone.alert_id for gone in outbox.erase_all("end_of_deployment")] == ["a-2"]
    assert outbox.alerts_held() == ["a-1"]
    assert [gone.alert_id for gone in outbox.erase_all("tamper")] == ["a-1"]


def test_an_earlier_end_moves_what_a_release_gives_back(outbox: Outbox) -> None:
    outbox.hold("a-1", "evidence", later(days=90))
    outbox.end_at(later(hours=2))
    assert [gone.reason for gone in outbox.release("a-1", later(hours=3), clock_trusted=False)] == ["end_of_hold"]


@pytest.mark.parametrize(("kind", "stays"), [("evidence", False), ("complaint", True)])
def test_a_false_alert_is_kept_for_a_complaint_alone(outbox: Outbox, kind: Kind, stays: bool) -> None:
    outbox.hold("a-1", kind, later(days=90))
    gone = outbox.erase_alert("a-1", "false_alert")
    assert gone.existed is not stays
    assert ("a-1" in outbox.alerts_held()) is stays


def test_an_unknown_alert_cannot_be_held_and_an_erased_one_does_not_come_back(outbox: Outbox) -> None:
    outbox.erase_alert("a-1", "false_alert")
    assert not outbox.hold("a-1", "complaint", later(days=90))
    assert not outbox.hold("a-9", "evidence", later(days=90))
    assert outbox.under_hold() == []


def test_what_is_held_is_not_delivered_again_when_the_hub_returns(outbox: Outbox) -> None:
    outbox.hold("a-1", "evidence", later(days=90))
    assert outbox.deliver_again() == 1


@pytest.mark.parametrize(("reason", "days", "left"), [("expiry", 2, ["a-1"]), ("tamper", 2, []), ("expiry", 91, [])])
def test_the_eraser_obeys_holds_too(outbox: Outbox, tmp_path: Path, reason: str, days: int, left: list[str]) -> None:
    outbox.hold("a-1", "evidence", later(days=90))
    outbox.close()
    eraser.place(tmp_path, "d-1", [], 0, 0, reason=reason, all_alerts=True)
    eraser.erase(tmp_path, round(later(days=days).timestamp() * 1000))
    with sqlite3.connect(tmp_path / "outbox.sqlite") as sql:
        assert [row[0] for row in sql.execute("SELECT alert_id FROM keys")] == left
        assert [row[0] for row in sql.execute("SELECT alert_id FROM holds")] == left


def test_the_eraser_reads_an_outbox_of_before_holds(outbox: Outbox, tmp_path: Path) -> None:
    outbox.close()
    with sqlite3.connect(tmp_path / "outbox.sqlite") as sql:
        sql.execute("DROP TABLE holds")
    assert eraser.erase(tmp_path, round(later(hours=25).timestamp() * 1000)) == 2
