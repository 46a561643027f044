"""Receipts and counts in the outbox: until the hub has them, and until a receipt exists for what was erased."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from device.domain.time import MonotonicNs, WallTime
from device.outbox.message import OutboxMessage
from device.outbox.retry import HUB_CONFIRMS_WITHIN_S, MessageClass
from device.outbox.store import Outbox

START = MonotonicNs(0)
Count = Callable[[str], OutboxMessage]


@pytest.fixture
def outbox(tmp_path: Path, noon: WallTime) -> Iterator[Outbox]:
    box = Outbox(tmp_path / "outbox", noon)
    yield box
    box.close()


def alert(count: Count) -> OutboxMessage:
    """An alert a-1 in a message m-1."""
    return replace(count("m-1"), kind=MessageClass.ALERT, alert_id="a-1")


def ids(outbox: Outbox, now: WallTime, monotonic: int = 0) -> list[str]:
    return [due.id for due in outbox.due(now, MonotonicNs(monotonic))]


def test_a_count_waits_for_a_hub_and_is_then_gone(outbox: Outbox, count: Count) -> None:
    outbox.put(count("c-1"))
    assert not outbox.report("c-1", accepted=True, acknowledged=False, monotonic=START)
    assert outbox.waiting()[MessageClass.COUNT] == 1
    assert outbox.report("c-1", accepted=True, acknowledged=True, monotonic=START), "a hub that does not confirm"
    assert outbox.waiting()[MessageClass.COUNT] == 0


def test_where_the_hub_confirms_a_count_waits_for_that_and_is_sent_again_without(
    outbox: Outbox, count: Count, noon: WallTime
) -> None:
    """The broker may die with it after its acknowledgement, and the hub before it has written it down."""
    outbox.put(count("c-1"))
    outbox.put(alert(count))
    outbox.sent("c-1", START)
    assert not outbox.report("c-1", accepted=True, acknowledged=True, hub_confirms=True, monotonic=START)
    wait = round(HUB_CONFIRMS_WITHIN_S * 1e9)
    assert ids(outbox, noon, wait - 1) == ["m-1"]
    assert ids(outbox, noon, wait) == ["m-1", "c-1"]
    assert outbox.confirmed(["c-1", "m-1", "unknown"]) == 1, "an alert is kept until its time, whatever is confirmed"
    assert outbox.waiting()[MessageClass.COUNT] == 0
    assert ids(outbox, noon, wait) == ["m-1"]
    assert outbox.tally() == {"delivered.count": 1, "put.alert": 1, "put.count": 1}


def test_an_erased_alert_is_owed_a_receipt_until_that_is_stored_whenever_the_program_dies(
    tmp_path: Path, count: Count, noon: WallTime
) -> None:
    first = Outbox(tmp_path / "outbox", noon)
    first.put(alert(count))
    first.erase_alert("a-1", "false_alert")
    assert first.erase_expired(noon, clock_trusted=True) == [], "this run has reported it"
    first.close()  # killed before it stored a receipt
    second = Outbox(tmp_path / "outbox", noon)
    (owed,) = second.erase_expired(noon, clock_trusted=True)
    assert (owed.alert_id, owed.reason, owed.existed) == ("a-1", "false_alert", True)
    assert second.erase_alert("a-1", "false_alert").existed is False, "judged again: it counts once"
    second.put(replace(count("r-1"), kind=MessageClass.RECEIPT, receipt_of="a-1"))
    second.close()
    third = Outbox(tmp_path / "outbox", noon)
    assert third.erase_expired(noon, clock_trusted=True) == []
    assert third.waiting()[MessageClass.RECEIPT] == 1
    third.close()
