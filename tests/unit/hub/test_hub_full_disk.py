"""A full disk at the hub: a judgement is refused, the alert stays, nothing is lost and nothing comes back."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from device.domain.finding import Mode
from device.edges.broker.fake import FakeBroker, FakeExchange
from device.errors import RefusedByCondition
from device.hub_api import alert_builder
from tests.failing_disks import FailingDisk, failing_disk
from tests.sample_alerts import NOON, an_alert
from tests.unit.hub.test_own_cases import say
from tools.hub.console.access import wall_now
from tools.hub.console.console import Console
from tools.hub.console.desk import Desk
from tools.hub.console.session import HubSession
from tools.hub.report.tallies import Tallies
from tools.hub.site import init_hub
from tools.hub.storage.folder import Entry, HubFolder
from tools.hub.storage.probes import ProbeOpener
from tools.hub.storage.sealed_desk import SealedDesk


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[FailingDisk]:
    with failing_disk(tmp_path / "disk") as failing:
        yield failing


class Hub:
    """A console whose desk lies on that disk; anew, it is the hub after a kill."""

    def __init__(self, folder: Path, disk: FailingDisk) -> None:
        init_hub(folder, site="demo", devices=("cam-1",), mode=Mode.DEMO)
        hub = HubFolder(folder)
        hub.add_entry("e-042", Entry("Person A"), b"\xff\xd8\xff")
        self.store = SealedDesk(disk.folder / "desk.sqlite")
        tallies = Tallies(hub.report_file, self.store.book())
        self.desk = Desk(hub.settings(), tallies, self.store)
        self.exchange = FakeExchange()
        broker = FakeBroker(self.exchange, "hub")
        broker.connect(lambda *_: None, lambda _: None)
        opener = ProbeOpener(hub.keys)
        self.session = HubSession(
            broker, "demo", Mode.DEMO, self.desk, opener, wall_now, lambda: None, store=self.store
        )
        self.console = Console(hub, hub.settings(), self.desk, tallies, self.session, "op-1", False, frozenset())


def test_a_judgement_on_a_full_disk_is_refused_with_the_reason_and_taken_once_there_is_room(
    tmp_path: Path, disk: FailingDisk
) -> None:
    async def on_loop() -> None:
        hub = Hub(tmp_path / "hub", disk)
        for name in ("a-1", "a-2"):
            say(hub.desk, "cam-1", an_alert(name))
        hub.desk.commit()
        disk.fill()
        for outcome in ("false_alert", "true_alert"):
            with pytest.raises(RefusedByCondition, match="this was not recorded, and the alert stays"):
                hub.console.decide("a-1", "adjudication", outcome)
        assert hub.desk.cases["a-1"].outcome is None
        assert (hub.session.waiting(), hub.exchange.log) == (0, []), "nothing was sent"
        assert hub.desk.store_problem
        disk.mend()
        assert hub.console.decide("a-1", "adjudication", "false_alert")
        assert hub.desk.store_problem == ""
        hub.store.close()
        again = Hub(tmp_path / "hub", disk)
        assert set(again.desk.cases) == {"a-2"}
        assert again.session.waiting() == 1, "the judgement is repeated until its device has it"

    asyncio.run(on_loop())


def test_what_a_device_erased_while_the_disk_was_full_does_not_come_back(tmp_path: Path, disk: FailingDisk) -> None:
    receipt = alert_builder.erasure_of("alert", count=1, alert_id="a-1", reason="retention", mode=Mode.DEMO, at=NOON)

    async def on_loop() -> None:
        hub = Hub(tmp_path / "hub", disk)
        for name in ("a-1", "a-2"):
            say(hub.desk, "cam-1", an_alert(name))
        hub.desk.commit()
        disk.fill()
        say(hub.desk, "cam-1", receipt)
        for _ in range(200):
            hub.store.put_book(b"x" * 4096)
            hub.desk.commit()
        assert hub.desk.store_problem
        disk.mend()
        hub.desk.commit()
        hub.desk.commit()
        hub.store.close()
        again = Hub(tmp_path / "hub", disk)
        assert set(again.desk.cases) == {"a-2"}
        assert again.desk.knows("a-1")

    asyncio.run(on_loop())
