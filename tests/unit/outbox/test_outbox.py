"""The durable outbox: nothing is forgotten before delivery, nothing personal is kept after its time."""

from __future__ import annotations

import sqlite3
import stat
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device.domain.time import NS_PER_S, MonotonicNs, WallTime, wall
from device.errors import Unavailable
from device.outbox.message import OutboxMessage
from device.outbox.retry import CONFIRM_WITHIN_S, POLICIES, MessageClass
from device.outbox.store import Outbox

SECRET = b'{"entry_ref":"e-042-very-recognisable"}'
START = MonotonicNs(0)
Build = Callable[..., OutboxMessage]
Count = Callable[[str], OutboxMessage]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "state" / "outbox.db"


@pytest.fixture
def outbox(place: Path, noon: WallTime) -> Iterator[Outbox]:
    box = Outbox(place, noon)
    yield box
    box.close()


@pytest.fixture
def message(noon: WallTime) -> Build:
    def build(name: str = "m-1", **changes: object) -> OutboxMessage:
        fields: dict[str, Any] = {
            "id": name,
            "kind": MessageClass.ALERT,
            "topic": "lfr/v1/demo/cam-1/alert/a-1",
            "payload": SECRET,
            "content_type": "application/json",
            "delete_by": wall(noon + timedelta(hours=24)),
            "expires_at": wall(noon + timedelta(minutes=2)),
            "alert_id": "a-1",
        }
        return OutboxMessage(**{**fields, **changes})

    return build


def later(start: WallTime, **delta: float) -> WallTime:
    return wall(start + timedelta(**delta))


def ids(outbox: Outbox, now: WallTime, monotonic: int = 0) -> list[str]:
    return [due.id for due in outbox.due(now, MonotonicNs(monotonic))]


def on_disk(place: Path) -> bytes:
    return b"".join(file.read_bytes() for file in sorted(place.parent.iterdir()))


def test_what_is_put_is_due_with_its_payload_and_rest_of_life(outbox: Outbox, message: Build, noon: WallTime) -> None:
    outbox.put(message())
    (due,) = outbox.due(later(noon, seconds=20), START)
    sent = due.outgoing(later(noon, seconds=20))
    assert (sent.payload, sent.expiry_s, sent.retain, sent.qos) == (SECRET, 100, False, 1)


def test_an_unacknowledged_alert_stays_due_and_an_acknowledged_one_does_not(
    outbox: Outbox, message: Build, noon: WallTime
) -> None:
    outbox.put(message())
    outbox.sent("m-1", START)
    assert not outbox.report("m-1", accepted=True, acknowledged=False, monotonic=START)
    wait = POLICIES[MessageClass.ALERT].wait_ns(1)
    assert ids(outbox, noon, wait - 1) == []
    assert ids(outbox, noon, wait) == ["m-1"]
    assert outbox.report("m-1", accepted=True, acknowledged=True, monotonic=START)
    assert ids(outbox, noon, wait * 10) == []
    assert outbox.tally() == {"delivered.alert": 1, "put.alert": 1, "unheard.alert": 1}


def test_an_alert_and_its_probe_are_kept_together_or_not_at_all(
    outbox: Outbox, message: Build, noon: WallTime, monkeypatch: pytest.MonkeyPatch
) -> None:
    probe = message("p-1", kind=MessageClass.PROBE, topic="lfr/v1/demo/cam-1/alert/a-1/probe")
    with monkeypatch.context() as broken:
        broken.setattr(Outbox, "_make_room", refuse_the_second())
        with pytest.raises(Unavailable):
            outbox.put(message(probe=probe))
    assert ids(outbox, noon) == []
    outbox.put(message(probe=probe))
    assert ids(outbox, noon) == ["m-1", "p-1"]


def refuse_the_second() -> Callable[..., None]:
    """A disk that becomes full after the first row."""
    calls: list[int] = []

    def make_room(*_: object) -> None:
        calls.append(1)
        if len(calls) == 2:
            raise Unavailable("No space left on device")

    return make_room


def test_a_report_that_never_comes_is_followed_by_another_try(outbox: Outbox, message: Build, noon: WallTime) -> None:
    outbox.put(message())
    outbox.sent("m-1", START)
    silence_ns = round(CONFIRM_WITHIN_S * NS_PER_S)
    assert ids(outbox, noon, silence_ns - 1) == []
    assert ids(outbox, noon, silence_ns) == ["m-1"]


def test_a_new_session_retries_everything_at_once(outbox: Outbox, message: Build, noon: WallTime) -> None:
    outbox.put(message())
    outbox.report("m-1", accepted=False, acknowledged=False, monotonic=START)
    assert ids(outbox, noon) == []
    outbox.retry_now()
    assert ids(outbox, noon) == ["m-1"]


def test_a_revision_replaces_the_undelivered_one_and_an_older_one_is_ignored(
    outbox: Outbox, message: Build, noon: WallTime
) -> None:
    assert outbox.put(message("m-1", revision=0))
    assert outbox.put(message("m-2", revision=2, payload=b"two"))
    assert not outbox.put(message("m-3", revision=1, payload=b"one"))
    assert [d.payload for d in outbox.due(noon, START)] == [b"two"]
    assert not outbox.report("m-1", accepted=True, acknowledged=True, monotonic=START)


def test_alerts_go_before_probes_and_counts(outbox: Outbox, message: Build, count: Count, noon: WallTime) -> None:
    outbox.put(count("c-1"))
    outbox.put(message("p-1", kind=MessageClass.PROBE))
    outbox.put(message("m-1"))
    assert ids(outbox, noon) == ["m-1", "p-1", "c-1"]


def test_what_waited_when_the_power_went_waits_again(place: Path, message: Build, noon: WallTime) -> None:
    first = Outbox(place, noon)
    first.put(message())
    first.sent("m-1", START)
    second = Outbox(place, noon)
    assert [d.payload for d in second.due(noon, START)] == [SECRET]
    first.close()
    second.close()


def test_no_payload_of_an_alert_lies_on_disk_in_the_clear_and_only_the_owner_may_read(
    place: Path, outbox: Outbox, message: Build
) -> None:
    outbox.put(message())
    assert SECRET not in on_disk(place)
    assert {stat.S_IMODE(f.stat().st_mode) for f in place.parent.iterdir()} == {0o600}
    assert stat.S_IMODE(place.parent.stat().st_mode) == 0o700


def test_a_deleted_alert_leaves_neither_key_nor_ciphertext_in_the_file(
    place: Path, outbox: Outbox, message: Build, noon: WallTime
) -> None:
    outbox.put(message())
    reader = sqlite3.connect(place)
    key, body = reader.execute("SELECT key, body FROM keys JOIN messages USING (alert_id)").fetchone()
    reader.close()
    assert key in on_disk(place)
    deletion = outbox.erase_alert("a-1", "false_alert")
    assert (deletion.alert_id, deletion.reason, deletion.rows) == ("a-1", "false_alert", 1)
    assert key not in on_disk(place)
    assert body not in on_disk(place)
    assert outbox.alerts_held() == []
    assert outbox.tally()["erased.false_alert"] == 1


def test_what_comes_late_for_an_erased_alert_is_refused_even_after_a_restart(
    place: Path, outbox: Outbox, message: Build, noon: WallTime
) -> None:
    outbox.put(message())
    outbox.erase_alert("a-1", "false_alert")
    assert not outbox.put(message("m-2", revision=5))
    outbox.close()
    again = Outbox(place, noon)
    assert not again.put(message("p-1", kind=MessageClass.PROBE))
    again.close()


def test_a_judgement_that_overtakes_its_alert_still_wins(outbox: Outbox, message: Build) -> None:
    assert outbox.erase_alert("a-1", "false_alert").rows == 0
    assert not outbox.put(message())


def test_delivered_alerts_are_kept_until_their_time_and_then_purged(
    outbox: Outbox, message: Build, noon: WallTime
) -> None:
    outbox.put(message())
    outbox.report("m-1", accepted=True, acknowledged=True, monotonic=START)
    assert outbox.erase_expired(later(noon, hours=23), clock_trusted=True) == []
    (gone,) = outbox.erase_expired(later(noon, hours=24), clock_trusted=True)
    assert (gone.alert_id, gone.reason) == ("a-1", "retention")
    assert outbox.alerts_held() == []


def test_a_judgement_of_an_unknown_alert_erases_and_counts_nothing(outbox: Outbox, message: Build) -> None:
    assert not outbox.erase_alert("nobody", "false_alert").existed
    outbox.put(message())
    assert [outbox.erase_alert("a-1", "false_alert").existed for _ in range(2)] == [True, False]
    assert outbox.tally()["erased.false_alert"] == 1


def test_what_was_delivered_is_delivered_again_when_the_hub_returns_and_goes_at_its_own_time(
    outbox: Outbox, message: Build, noon: WallTime
) -> None:
    outbox.put(message())
    outbox.report("m-1", accepted=True, acknowledged=True, monotonic=START)
    assert ids(outbox, later(noon, hours=3)) == []
    assert outbox.deliver_again() == 1
    assert ids(outbox, later(noon, hours=3)) == ["m-1"], "long past the time in which it may start a stop"
    assert outbox.erase_expired(later(noon, hours=23), clock_trusted=True) == []
    (gone,) = outbox.erase_expired(later(noon, hours=24), clock_trusted=True)
    assert gone.reason == "retention"


def test_an_early_end_brings_the_deletion_forward_and_a_late_one_does_not_postpone_it(
    outbox: Outbox, message: Build, noon: WallTime
) -> None:
    outbox.put(message())
    assert outbox.end_at(later(noon, hours=48)) == 0
    assert outbox.end_at(later(noon, hours=5)) == 1
    (gone,) = outbox.erase_expired(later(noon, hours=5), clock_trusted=True)
    assert (gone.alert_id, gone.reason) == ("a-1", "retention")


def test_an_unacknowledged_alert_is_erased_when_it_expires(outbox: Outbox, message: Build, noon: WallTime) -> None:
    outbox.put(message())
    assert ids(outbox, later(noon, minutes=2)) == []
    (gone,) = outbox.erase_expired(later(noon, minutes=2), clock_trusted=True)
    assert gone.reason == "expiry"
    assert outbox.alerts_held() == []


def test_a_clock_that_moves_back_does_not_postpone_a_deletion(outbox: Outbox, message: Build, noon: WallTime) -> None:
    outbox.erase_expired(later(noon, hours=25), clock_trusted=True)
    outbox.put(message())
    assert [d.reason for d in outbox.erase_expired(later(noon, days=-300), clock_trusted=True)] == ["retention"]


def test_an_untrusted_clock_does_not_move_the_latest_time(outbox: Outbox, message: Build, noon: WallTime) -> None:
    outbox.erase_expired(later(noon, days=3650), clock_trusted=False)
    outbox.put(message())
    assert outbox.erase_expired(noon, clock_trusted=True) == []


def test_the_end_of_a_deployment_erases_every_alert_and_keeps_the_tally(outbox: Outbox, message: Build) -> None:
    outbox.put(message())
    outbox.put(message("m-2", alert_id="a-2"))
    assert {d.alert_id for d in outbox.erase_all("end_of_deployment")} == {"a-1", "a-2"}
    assert outbox.tally() == {"erased.end_of_deployment": 2, "put.alert": 2}


def test_a_full_outbox_gives_up_counts_and_never_an_alert(
    place: Path, message: Build, count: Count, noon: WallTime
) -> None:
    box = Outbox(place, noon, max_rows=2)
    box.put(count("c-1"))
    box.put(message("m-1"))
    box.put(message("m-2", alert_id="a-2"))
    assert ids(box, noon) == ["m-1", "m-2"]
    with pytest.raises(Unavailable, match="full of alerts"):
        box.put(message("m-3", alert_id="a-3"))
    assert box.alerts_held() == ["a-1", "a-2"]
    box.close()


def test_a_full_outbox_counts_bytes_too(place: Path, message: Build, noon: WallTime) -> None:
    box = Outbox(place, noon, max_bytes=1000)
    with pytest.raises(Unavailable, match="full"):
        box.put(message(payload=bytes(2000)))
    box.close()


@pytest.mark.parametrize("damage", ["garbage", "torn", "newer"])
def test_a_broken_file_is_set_aside_and_a_new_one_works(
    place: Path, message: Build, noon: WallTime, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    box = Outbox(place, noon)
    for n in range(40):
        box.put(message(f"m-{n}", alert_id=f"a-{n}"))
    box.close()
    if damage == "garbage":
        place.write_bytes(b"not a database at all" * 500)
    elif damage == "torn":
        whole = place.read_bytes()
        place.write_bytes(whole[:4096] + b"\xff" * 4096 + whole[8192:])
    else:
        with sqlite3.connect(place) as database:
            database.execute("PRAGMA user_version=99")
        database.close()
    again = Outbox(place, noon)
    assert again.put(message())
    assert "outbox.set_aside" in caplog.text
    assert list(place.parent.glob("outbox.db.broken-1"))
    again.close()


def test_a_set_aside_file_is_deleted_after_a_day(place: Path, noon: WallTime) -> None:
    place.parent.mkdir()
    place.write_bytes(b"rubbish" * 1000)
    box = Outbox(place, noon)
    (aside,) = place.parent.glob("*.broken-*")
    made = wall(type(noon).fromtimestamp(aside.stat().st_mtime, noon.tzinfo))
    box.erase_expired(later(made, hours=23), clock_trusted=False)
    assert aside.exists()
    box.erase_expired(later(made, hours=25), clock_trusted=False)
    assert not aside.exists()
    box.close()


def test_a_folder_that_cannot_be_made_says_what_to_do(tmp_path: Path, noon: WallTime) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(Unavailable, match=r"outbox\.db: (Not a directory|File exists); .*writable"):
        Outbox(tmp_path / "file" / "outbox.db", noon)


def test_a_tampered_body_is_dropped_and_counted(place: Path, outbox: Outbox, message: Build, noon: WallTime) -> None:
    outbox.put(message())
    with sqlite3.connect(place) as other:
        other.execute("UPDATE messages SET body = zeroblob(64)")
    other.close()
    assert ids(outbox, noon) == []
    assert outbox.tally()["unreadable.alert"] == 1


def test_destroy_leaves_no_file(place: Path, message: Build, noon: WallTime) -> None:
    box = Outbox(place, noon)
    box.put(message())
    box.delete_file()
    assert list(place.parent.iterdir()) == []


@given(attempts=st.integers(1, 1000), kind=st.sampled_from(MessageClass))
def test_waits_never_shrink_and_never_exceed_their_limit(attempts: int, kind: MessageClass) -> None:
    policy = POLICIES[kind]
    assert policy.wait_ns(attempts) <= policy.wait_ns(attempts + 1) <= policy.most_s * NS_PER_S


def test_a_file_that_cannot_be_deleted_is_named_and_the_others_go_all_the_same(
    outbox: Outbox, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unlink = Path.unlink

    def refuse(self: Path, missing_ok: bool = False) -> None:
        if self == place:
            raise PermissionError(13, "Permission denied")
        unlink(self, missing_ok)

    aside = place.with_name(f"{place.name}.broken-1")
    aside.write_bytes(b"x")
    monkeypatch.setattr(Path, "unlink", refuse)
    with pytest.raises(Unavailable, match=rf"{place.name} \(Permission denied\)"):
        outbox.delete_file()
    assert not aside.exists()
