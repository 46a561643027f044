"""The end of a watchlist is the end of the hub's own reference photos and labels."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from device.domain.finding import Mode
from device.domain.time import WallTime, rfc3339, wall
from device.edges.broker.fake import FakeBroker, FakeExchange
from device.hub_api import alert_builder, messages
from device.hub_api.events import decode, encode
from device.hub_api.identifiers import uuid7
from device.hub_api.topics import DeviceTopics, parse
from tools.hub.console.console import Console
from tools.hub.console.desk import Desk
from tools.hub.console.session import HubSession
from tools.hub.report.deployment_report import report_of
from tools.hub.report.tallies import Tallies
from tools.hub.site import init_hub
from tools.hub.storage.folder import Entry, HubFolder
from tools.hub.storage.probes import ProbeOpener

DEPLOYMENT = "d-1"


def now(**delta: float) -> WallTime:
    return wall(datetime.now(timezone.utc) + timedelta(**delta))


class Van:
    """A console over a real folder with two entries; devices deliver to its desk directly."""

    def __init__(self, root: Path) -> None:
        init_hub(root, site="demo", devices=("cam-1", "cam-2"), mode=Mode.DEMO)
        self.hub = HubFolder(root)
        for entry_ref in ("e-1", "e-2"):
            self.hub.add_entry(entry_ref, Entry(f"Person {entry_ref}"), b"\xff\xd8\xff")
        self.tallies = Tallies(self.hub.report_file)
        self.desk = Desk(self.hub.settings(), self.tallies)
        session = HubSession(
            FakeBroker(FakeExchange(), "hub"),
            "demo",
            Mode.DEMO,
            self.desk,
            ProbeOpener(self.hub.keys),
            now,
            lambda: None,
        )
        self.console = Console(
            self.hub, self.hub.settings(), self.desk, self.tallies, session, "op-1", False, frozenset()
        )

    def receives(self, device: str, data: messages.Message) -> None:
        topics = DeviceTopics("demo", device)
        payload = encode(data, event_id=uuid7(now()), source=topics.base, subject="x", at=now())
        place = parse(topics.stats)
        assert place is not None
        self.desk.take(place, decode(payload), now())
        self.console.erase_references()

    def loaded(self, device: str, valid_for_s: float = 3600.0) -> None:
        state = messages.DeviceState(
            mode=Mode.DEMO, state="armed", since=rfc3339(now()), inhibit_reasons=[], deployment_id=DEPLOYMENT
        )
        self.receives(device, state)
        self.receives(device, watchlist("wl-1", valid_to=rfc3339(now(seconds=valid_for_s))))

    @property
    def left(self) -> tuple[list[str], list[str]]:
        """Photos and labels that are still there."""
        return sorted(p.stem for p in self.hub.references.iterdir()), sorted(self.hub.settings().entries)


def watchlist(watchlist_id: str | None, **times: Any) -> messages.WatchlistState:
    return messages.WatchlistState(
        mode=Mode.DEMO, watchlist_id=watchlist_id, sha256=None, subjects=2, images=2, **times
    )


def receipt(at: WallTime) -> messages.Erasure:
    return alert_builder.erasure_of(
        "watchlist", count=1, alert_id=None, reason="end_of_deployment", mode=Mode.DEMO, at=at
    )


@pytest.fixture
def scene(tmp_path: Path) -> Callable[[Callable[[Van], None]], None]:
    """Plays something on a console's loop."""

    def play(what: Callable[[Van], None]) -> None:
        async def on_loop() -> None:
            what(Van(tmp_path / "hub"))

        asyncio.run(on_loop())

    return play


BOTH = (["e-1", "e-2"], ["e-1", "e-2"])


@pytest.mark.parametrize("kind", ["receipt", "state"])
def test_the_end_of_the_list_deletes_photos_and_labels_and_is_in_the_report(
    scene: Callable[..., None], kind: str
) -> None:
    def play(van: Van) -> None:
        van.loaded("cam-1")
        assert van.left == BOTH
        end = now(seconds=1)
        van.receives("cam-1", receipt(end) if kind == "receipt" else watchlist(None, erased_at=rfc3339(end)))
        assert van.left == ([], [])
        assert report_of(van.tallies.book.deployments[DEPLOYMENT]).erasures["reference.end_of_deployment"] == 2
        assert van.desk.receipts[-1] == {"what": "reference", "reason": "end_of_deployment", "count": 2, "alert": ""}

    scene(play)


def test_photos_stay_while_another_device_holds_the_list_and_go_with_the_last(scene: Callable[..., None]) -> None:
    def play(van: Van) -> None:
        van.loaded("cam-1")
        van.loaded("cam-2")
        van.receives("cam-1", receipt(now(seconds=1)))
        assert van.left == BOTH
        van.receives("cam-2", receipt(now(seconds=1)))
        assert van.left == ([], [])

    scene(play)


def test_a_device_that_never_reported_its_end_holds_the_list_no_longer_than_its_window(
    scene: Callable[..., None],
) -> None:
    def play(van: Van) -> None:
        van.loaded("cam-2", valid_for_s=-1.0)
        van.loaded("cam-1")
        van.receives("cam-1", receipt(now(seconds=1)))
        assert van.left == ([], [])

    scene(play)


def test_an_old_end_that_arrives_again_leaves_the_next_deployments_photos(scene: Callable[..., None]) -> None:
    def play(van: Van) -> None:
        van.receives("cam-1", watchlist(None, erased_at=rfc3339(now(hours=-1))))
        assert van.left == BOTH
        assert van.desk.receipts == []

    scene(play)
