"""The device's client against a repository: what it takes, what it keeps, and what a poll costs."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import pyrage
import pytest

from device import eraser
from device.domain.finding import Mode
from device.domain.time import WallTime, wall
from device.errors import Unavailable
from device.sync.identity import SessionIdentity
from device.sync.refusal import Refused
from device.sync.source_usb import UsbSource
from tests.offers import offer_of, refusal_of

if TYPE_CHECKING:
    from tests.unit.sync.conftest import Desk


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, with its content."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_what_is_published_for_this_device_is_offered_verified_and_on_the_disk(desk: Desk) -> None:
    found = desk.client().sync()
    assert found.mode is Mode.DEMO
    assert found.refused is None
    offer = offer_of(found)
    assert offer.deployment.id == "d-1"
    assert offer.payload.read_bytes() == desk.hub.payload
    assert offer.withdrawn == frozenset()
    assert offer.envelope is None
    assert found.source == "usb"


def test_the_envelope_opens_with_the_identity_made_for_it_and_never_touches_the_disk(desk: Desk) -> None:
    content, mine = pyrage.x25519.Identity.generate(), SessionIdentity("d-1")
    client = desk.client()
    client.sync()
    desk.hub.envelope = pyrage.encrypt(str(content).encode(), [pyrage.x25519.Recipient.from_str(mine.recipient)])
    desk.hub.recipient = mine.recipient
    desk.hub.publish()
    offer = offer_of(client.sync())
    assert offer.recipient == mine.recipient
    assert offer.envelope is not None
    assert mine.open(offer.envelope) == str(content)
    stored = tree(desk.state)
    assert not any(desk.hub.envelope in text or b"AGE-SECRET" in text for text in stored.values())
    assert not any("envelope" in name for name in stored)
    assert "AGE-SECRET" not in repr(mine) + repr(offer)


def test_a_dropped_identity_opens_nothing(desk: Desk) -> None:
    mine = SessionIdentity("d-1")
    envelope = pyrage.encrypt(b"AGE-SECRET-KEY-1X", [pyrage.x25519.Recipient.from_str(mine.recipient)])
    mine.drop()
    with pytest.raises(Exception, match="has been dropped"):
        mine.open(envelope)


def test_nothing_published_and_the_end_of_what_was_are_no_refusals(desk: Desk) -> None:
    client = desk.client()
    assert client.sync().offer is not None
    desk.hub.index = None
    desk.hub.publish()
    ended = client.sync()
    assert ended.offer is None
    assert ended.refused is None
    assert not list((desk.state / "trust" / "demo" / "payloads").iterdir())


def test_an_entry_withdrawn_later_is_in_the_next_offer(desk: Desk) -> None:
    client = desk.client()
    client.sync()
    desk.hub.withdrawn = {"deployment_id": "d-1", "refs": ["e-2"]}
    desk.hub.publish()
    assert offer_of(client.sync()).withdrawn == {"e-2"}


def test_a_poll_of_an_unchanged_repository_reads_one_file_and_writes_none(desk: Desk) -> None:
    class Counting(UsbSource):
        reads: ClassVar[list[str]] = []

        def read(self, path: str) -> Any:
            self.reads.append(path)
            return super().read(path)

    client = desk.client(Counting(desk.hub.folder))
    first = client.sync()
    before, Counting.reads[:] = tree(desk.state), []
    times = {p: p.stat().st_mtime_ns for p in desk.state.rglob("*")}
    assert client.sync() is first
    assert Counting.reads == ["metadata/timestamp.json"]
    assert tree(desk.state) == before
    assert {p: p.stat().st_mtime_ns for p in desk.state.rglob("*")} == times


def test_after_a_restart_everything_is_verified_again_and_the_payload_is_not_fetched_again(desk: Desk) -> None:
    desk.client().sync()
    for file in (desk.hub.folder / "targets" / "deployments").glob("*.payload"):
        file.unlink()
    assert offer_of(desk.client().sync()).payload.read_bytes() == desk.hub.payload


def test_a_payload_changed_on_the_disk_is_fetched_again(desk: Desk) -> None:
    offer = offer_of(desk.client().sync())
    offer.payload.write_bytes(b"something else")
    assert offer_of(desk.client().sync()).payload.read_bytes() == desk.hub.payload


def test_what_was_verified_stays_when_the_repository_goes_away_or_goes_bad(desk: Desk) -> None:
    client = desk.client()
    client.sync()
    before = tree(desk.state)
    desk.hub.metadata("timestamp").write_bytes(b"{}")
    with pytest.raises(Refused):
        client.sync()
    desk.hub.folder.rename(desk.hub.folder.with_name("gone"))
    with pytest.raises(Unavailable, match="no stick"):
        client.sync()
    assert {name: text for name, text in tree(desk.state).items() if "staging" not in name} == before


def test_the_second_source_serves_when_the_first_is_away(desk: Desk, tmp_path: Path) -> None:
    client = desk.client(UsbSource(tmp_path / "nowhere"), UsbSource(desk.hub.folder))
    assert client.sync().offer is not None


def test_an_ended_deployment_leaves_no_list_and_is_not_taken_up_again(desk: Desk) -> None:
    client = desk.client()
    client.take(offer_of(client.sync()))
    assert client.ended("d-1") == [desk.hub.document["watchlist"]["sha256"]]
    for again in (client, desk.client()):
        refused = refusal_of(again.sync())
        assert refused.reason == "ended"
    assert not list((desk.state / "trust" / "demo" / "payloads").iterdir())


def test_a_running_deployment_may_pass_the_24_hours_and_a_restarted_one_may_not(desk: Desk, now: WallTime) -> None:
    desk.hub.document["watchlist"]["created_at"] = now - timedelta(hours=24) + timedelta(minutes=1)
    desk.hub.publish()
    client = desk.client()
    client.take(offer_of(client.sync()))
    desk.clock.set_wall(wall(now + timedelta(minutes=2)))
    assert client.sync().offer is not None
    assert refusal_of(desk.client().sync()).reason == "too old"


def test_the_record_of_used_lists_is_small_and_names_nobody(desk: Desk) -> None:
    client = desk.client()
    client.take(offer_of(client.sync()))
    record = json.loads((desk.state / "trust" / "used.json").read_text())
    assert record == [
        {"deployment": "d-1", "watchlist": "wl-1", "sha256": desk.hub.document["watchlist"]["sha256"], "ended": False}
    ]


def test_a_list_that_nobody_came_to_load_is_erased_at_its_end(desk: Desk) -> None:
    offer = offer_of(desk.client().sync())
    end_ms = round(offer.deployment.window.end.timestamp() * 1000)
    assert eraser.erase(desk.state, end_ms - 1) == 0
    assert offer.payload.exists()
    assert eraser.erase(desk.state, end_ms) == 1
    assert not offer.payload.exists()


def test_an_older_order_of_the_same_deployment_is_made_to_cover_the_list_and_never_postponed(desk: Desk) -> None:
    old = desk.state / "old.payload"
    desk.state.mkdir(exist_ok=True)
    old.write_bytes(b"x")
    eraser.place(desk.state, "d-1", (old,), 4_000_000_000_000, 1, reason="tamper", all_alerts=True)
    offer = offer_of(desk.client().sync())
    end_ms = round(offer.deployment.window.end.timestamp() * 1000)
    order = eraser.ordered(desk.state, "d-1")
    assert order["files"] == [str(old), str(offer.payload.absolute())]
    assert (order["end_ms"], order["reason"], order["all_alerts"]) == (end_ms, "tamper", True)
    eraser.place(desk.state, "d-1", (offer.payload,), 5, 1)
    desk.client().sync()
    assert eraser.ordered(desk.state, "d-1")["end_ms"] == 5, "what is due stays due"


def test_no_list_is_kept_where_its_erasure_cannot_be_ordered(desk: Desk) -> None:
    desk.state.mkdir(exist_ok=True)
    (desk.state / eraser.ORDERS).write_text("in the way")
    with pytest.raises(Unavailable, match="no list is stored without its erasure order"):
        desk.client().sync()
    assert not any("payloads" in name for name in tree(desk.state))
