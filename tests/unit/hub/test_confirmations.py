"""Receipts, counts and alerts on their way from a device's outbox to the hub's disk, while broker or hub die."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Coroutine
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from device.domain.finding import Counters, Mode
from device.domain.time import wall
from device.edges.broker.fake import FakeBroker, FakeExchange
from device.edges.clock.system import SystemClock
from device.hub_api import alert_builder, events
from device.hub_api.identifiers import uuid7
from device.hub_api.topics import DeviceTopics
from device.outbox.message import OutboxMessage
from device.outbox.retry import MessageClass
from device.outbox.store import Outbox
from device.supervisor.alerts.outbox_publisher import OutboxPublisher
from device.supervisor.runtime.executor import DiskInline
from device.supervisor.status.hub import Hub as HubLink
from device.supervisor.status.retained import Notices, will
from tests.sample_alerts import a_context, an_alert
from tools.hub.console.access import wall_now
from tools.hub.console.console import Console
from tools.hub.console.desk import Desk
from tools.hub.console.hub_state import offline_message
from tools.hub.console.session import HubSession
from tools.hub.report.tallies import Deployment, Tallies
from tools.hub.site import init_hub
from tools.hub.storage.folder import Entry, HubFolder
from tools.hub.storage.probes import ProbeOpener
from tools.hub.storage.sealed_desk import SealedDesk

WITHIN_S = 20.0
TOPICS = DeviceTopics("demo", "cam-1")
Scene = Callable[["Van"], Coroutine[Any, Any, None]]


class Device:
    """A device's own outbox, publisher, notices and link to the hub."""

    def __init__(self, exchange: FakeExchange, folder: Path) -> None:
        clock = SystemClock()
        self.outbox = Outbox(folder / "outbox.sqlite", clock.wall())
        broker = FakeBroker(exchange, "cam-1", will("demo", "cam-1", "b-1", clock))
        self._publisher = OutboxPublisher(broker, self.outbox, DiskInline(), clock, lambda _: None)
        self._hub = HubLink(
            "demo",
            "cam-1",
            clock,
            publisher=self._publisher,
            on_judgement=lambda _: None,
            on_follow_up=lambda _: None,
            on_command=lambda *_: None,
        )
        self._notices = Notices(
            TOPICS, "b-1", (), clock, publisher=self._publisher, mode=lambda: Mode.DEMO, audit_key=lambda: None
        )

    def start(self) -> asyncio.Task[None]:
        self._hub.subscribe()
        self._publisher.connect(lambda present: self._hub.connection(present, ""))
        return asyncio.create_task(self._publisher.run())

    def erased(self, alert_id: str, count: int = 1) -> None:
        """A receipt of an erasure."""
        erasure = alert_builder.erasure_of(
            "alert", count=count, alert_id=alert_id, reason="false_alert", mode=Mode.DEMO, at=wall_now()
        )
        self._notices.receipt(erasure)

    def counted(self, faces: int) -> None:
        """The counts of this boot."""
        terms: dict[str, Any] = {"mode": Mode.DEMO, "boot_id": "b-1", "fps": 25.0, "deployment_id": "d-1"}
        self._notices.stats(alert_builder.stats_from(Counters(faces_seen=faces), at=wall_now(), **terms))

    def raised(self, alert_id: str) -> None:
        """An alert."""
        now = wall_now()
        alert = an_alert(alert_id, None, a_context(now), now)
        payload = events.encode(alert, event_id=uuid7(now), source=TOPICS.base, subject=alert_id, at=now)
        self._publisher.keep(
            OutboxMessage(
                id=uuid7(now),
                kind=MessageClass.ALERT,
                topic=TOPICS.alert(alert_id),
                payload=payload,
                content_type=events.CONTENT_TYPE,
                delete_by=wall(now + timedelta(hours=1)),
                alert_id=alert_id,
            )
        )

    def delivered(self) -> int:
        """Receipts that the hub has confirmed."""
        return self.outbox.tally().get("delivered.receipt", 0)

    def waiting(self) -> int:
        """Messages that the hub has not acknowledged or confirmed."""
        return sum(self.outbox.waiting().values())


class Van:
    """A hub on its disk, a device on its own, and the broker between them."""

    def __init__(self, folder: Path) -> None:
        self._hub = HubFolder(folder / "hub")
        self.exchange = FakeExchange()
        self.device = Device(self.exchange, folder)
        self.begin()

    def begin(self) -> None:
        """A hub on this disk, not started yet."""
        self.store = SealedDesk(self._hub.desk_file)
        self.tallies = Tallies(self._hub.report_file, self.store.book())
        self.desk = Desk(self._hub.settings(), self.tallies, self.store)
        broker = FakeBroker(self.exchange, "hub", offline_message("demo", Mode.DEMO, wall_now()))
        opener, hub = ProbeOpener(self._hub.keys), self._hub
        self.session = HubSession(
            broker, "demo", Mode.DEMO, self.desk, opener, wall_now, lambda: console.changed(), store=self.store
        )
        console = Console(hub, hub.settings(), self.desk, self.tallies, self.session, "op-1", True, frozenset())

    def start_hub(self) -> None:
        """Connect, and publish that it is online."""
        self.session.start(asyncio.get_running_loop())
        asyncio.get_running_loop().call_soon(self.session.publish_state, "simulated", None)

    def kill_hub(self) -> None:
        """It dies with what it has not committed, and the broker sends its will. Another one starts on its disk."""
        self.exchange.kill("hub")
        self.store._database.close()
        self.begin()
        self.start_hub()

    def cut_broker(self) -> None:
        """Killed and started again: sessions, retained messages and what it had not passed on are gone."""
        self.exchange.go_down()
        self.exchange.come_up()
        asyncio.get_running_loop().call_soon(self.session.publish_state, "simulated", None)

    def counts(self) -> Deployment:
        """What the hub has on its disk of the deployment."""
        book = Tallies(self._hub.report_file, self.store.book()).book
        return book.deployments.get("d-1", Deployment(deployment_id="d-1"))

    def erased(self) -> int:
        return sum(self.counts().erasures.values())

    async def ready(self) -> None:
        """The hub knows the deployment, and an alert of it that is confirmed to nobody."""
        self.start_hub()
        self.device.raised("a-1")
        await self.until(lambda: self.counts().alerts_received == 1, "an alert at the hub")

    async def until(self, condition: Callable[[], bool], what: str) -> None:
        loop = asyncio.get_running_loop()
        last = loop.time() + WITHIN_S
        while not condition():
            assert loop.time() < last, what
            await asyncio.sleep(0.01)


@pytest.fixture(scope="module")
def fresh_hub(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A hub's folder, to be copied: its keys take a second."""
    folder = tmp_path_factory.mktemp("fresh") / "hub"
    init_hub(folder, site="demo", devices=("cam-1",), mode=Mode.DEMO)
    HubFolder(folder).add_entry("e-042", Entry("Person A"), b"\xff\xd8\xff")
    return folder


@pytest.fixture
def van(tmp_path: Path, fresh_hub: Path) -> Callable[[Scene], None]:
    """Plays a scene with a van whose programs run."""
    shutil.copytree(fresh_hub, tmp_path / "hub")

    def play(scene: Scene) -> None:
        async def run() -> None:
            made = Van(tmp_path)
            pump = made.device.start()
            try:
                await made.ready()
                await scene(made)
            finally:
                pump.cancel()
                await asyncio.gather(pump, return_exceptions=True)
                made.device.outbox.close()

        asyncio.run(run())

    return play


Play = Callable[[Scene], None]


def test_a_receipt_that_died_with_the_broker_after_its_acknowledgement_is_sent_again(van: Play) -> None:
    async def scene(van: Van) -> None:
        van.exchange.hold_back("hub")
        van.device.erased("a-1")
        await van.until(lambda: any(m.topic == TOPICS.erasure for m in van.exchange.log), "the receipt at the broker")
        await asyncio.sleep(0.1)  # the broker has acknowledged it
        assert (van.erased(), van.device.waiting()) == (0, 1)
        van.cut_broker()
        await van.until(lambda: van.device.waiting() == 0, "the receipt to be confirmed")
        assert van.erased() == 1
        assert set(van.desk.cases) == set()

    van(scene)


def test_a_receipt_that_died_with_the_hub_before_its_commit_is_sent_again(
    van: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scene(van: Van) -> None:
        monkeypatch.setattr(van.desk, "commit", lambda: None)
        monkeypatch.setattr(van.session.confirmations, "send", lambda: None)
        van.device.erased("a-1")
        await van.until(lambda: not van.desk.cases, "the hub to take the receipt")
        assert (van.erased(), van.device.waiting()) == (0, 1)
        van.kill_hub()
        await van.until(lambda: van.device.waiting() == 0, "the receipt to be confirmed")
        assert van.erased() == 1

    van(scene)


def test_a_receipt_whose_confirmation_was_lost_is_confirmed_again_and_counts_once(van: Play) -> None:
    async def scene(van: Van) -> None:
        van.exchange.hold_back("cam-1")
        van.device.erased("a-1")
        await van.until(lambda: van.erased() == 1, "the receipt on the hub's disk")
        await asyncio.sleep(0.1)
        assert van.device.waiting() == 1
        van.kill_hub()
        van.cut_broker()
        await van.until(lambda: van.device.waiting() == 0, "the receipt to be confirmed")
        assert van.erased() == 1

    van(scene)


def test_counts_are_on_the_hubs_disk_although_the_broker_died_with_them(van: Play) -> None:
    async def scene(van: Van) -> None:
        van.exchange.hold_back("hub")
        van.device.counted(7)
        await van.until(lambda: any(m.topic == TOPICS.stats for m in van.exchange.log), "counts at the broker")
        van.cut_broker()
        await van.until(lambda: van.device.waiting() == 0, "the counts to be confirmed")
        assert van.counts().total("faces_seen") == 7

    van(scene)


def test_an_alert_that_died_with_the_broker_after_its_acknowledgement_is_on_the_page(van: Play) -> None:
    async def scene(van: Van) -> None:
        van.exchange.hold_back("hub")
        van.device.raised("a-2")
        sent = TOPICS.alert("a-2")
        await van.until(lambda: any(m.topic == sent for m in van.exchange.log), "the alert at the broker")
        await van.until(lambda: van.device.waiting() == 0, "the broker's acknowledgement")
        assert set(van.desk.cases) == {"a-1"}
        van.cut_broker()
        await van.until(lambda: set(van.desk.cases) == {"a-1", "a-2"}, "the alert on the page")
        await van.until(lambda: van.counts().alerts_received == 2, "its count")

    van(scene)


def test_nothing_is_confirmed_while_the_hubs_disk_refuses(van: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene(van: Van) -> None:
        with monkeypatch.context() as broken:
            broken.setattr(van.store, "commit", lambda: False)
            van.store.problem = "disk full"
            van.device.erased("a-1")
            await van.until(lambda: not van.desk.cases, "the hub to take the receipt")
            await asyncio.sleep(0.1)
            assert van.device.waiting() == 1
        van.cut_broker()
        await van.until(lambda: van.device.waiting() == 0, "the receipt to be confirmed")
        assert van.erased() == 1

    van(scene)


def test_a_receipt_after_a_restart_of_the_hub_counts_to_the_deployment_of_its_device(van: Play) -> None:
    async def scene(van: Van) -> None:
        van.kill_hub()
        van.device.erased("gone-before")
        await van.until(lambda: van.device.delivered() == 1, "the receipt to be confirmed")
        assert van.erased() == 1

    van(scene)


def test_the_receipt_of_a_device_that_died_before_it_stored_the_first_one_counts_once(van: Play) -> None:
    async def scene(van: Van) -> None:
        van.device.erased("a-1")
        van.device.erased("a-1")
        await van.until(lambda: van.erased() == 1, "the receipt at the hub")
        await van.until(lambda: van.device.delivered() == 2, "both to be confirmed")
        assert van.erased() == 1

    van(scene)


def test_a_receipt_that_counts_nothing_pays_none_that_is_owed(van: Play, tmp_path: Path) -> None:
    """The device died between erasure and receipt, and the judgement came again before the receipt was made up for."""

    async def scene(van: Van) -> None:
        van.device.outbox.erase_alert("a-1", "false_alert")
        van.device.erased("a-1", count=0)
        await van.until(lambda: van.device.delivered() == 1, "the receipt to be confirmed")
        later = Outbox(tmp_path / "outbox.sqlite", wall_now())
        (owed,) = later.erase_expired(wall_now(), clock_trusted=True)
        later.close()
        assert (owed.alert_id, owed.existed) == ("a-1", True)
        assert van.erased() == 0
        van.device.erased("a-1")
        await van.until(lambda: van.erased() == 1, "the receipt that was owed")

    van(scene)


def test_a_receipt_that_the_broker_reports_while_the_hub_goes_is_sent_again(van: Play) -> None:
    async def scene(van: Van) -> None:
        van.exchange.hold_back("hub")
        van.exchange.withhold()
        van.device.erased("a-1")
        await van.until(lambda: any(m.topic == TOPICS.erasure for m in van.exchange.log), "the receipt at the broker")
        van.exchange.answer()
        van.exchange.kill("hub")  # both before the publisher has looked at the report
        await asyncio.sleep(0.1)
        assert van.device.waiting() == 1
        van.exchange.go_down()
        van.exchange.come_up()
        van.store._database.close()
        van.begin()
        van.start_hub()
        await van.until(lambda: van.erased() == 1, "the receipt at the hub")

    van(scene)
