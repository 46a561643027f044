"""The publisher when the disk refuses: an alert that cannot be stored is still sent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from device.domain.time import wall
from device.edges.broker.fake import FakeBroker, FakeExchange
from device.edges.clock.fake import FakeClock
from device.errors import Unavailable
from device.outbox.message import ErasedAlert, OutboxMessage
from device.outbox.retry import MessageClass
from device.outbox.store import Outbox
from device.ports.broker import Outgoing
from device.supervisor.alerts.outbox_publisher import OutboxPublisher
from device.supervisor.runtime.executor import DiskInline, DiskThread
from device.supervisor.runtime.timeouts import settle


class FullOutbox(Outbox):
    """An outbox on a disk without room."""

    def put(self, message: OutboxMessage) -> bool:
        raise Unavailable("no space left on device")


def message(clock: FakeClock, name: str = "a-1") -> OutboxMessage:
    return OutboxMessage(
        id=name,
        kind=MessageClass.ALERT,
        topic="lfr/v1/demo/cam-1/alert/x",
        payload=b"{}",
        content_type="application/json",
        delete_by=wall(clock.wall() + timedelta(hours=1)),
        alert_id="x",
    )


def play(outbox: Outbox, clock: FakeClock, scene: Callable[[OutboxPublisher, FakeExchange], None]) -> FakeExchange:
    """Run a publisher on a fake exchange with a listening hub until it has nothing to do."""
    exchange = FakeExchange()

    async def run() -> None:
        hub = FakeBroker(exchange, "hub")
        hub.subscribe("lfr/#", lambda topic, payload: None)
        hub.connect(lambda present, reason: None, lambda delivery: None)
        disk = DiskThread()
        publisher = OutboxPublisher(FakeBroker(exchange, "cam-1"), outbox, disk, clock, lambda gone: None)
        publisher.connect(lambda present: None)
        publisher.set_hub_online(online=True)
        pump = asyncio.create_task(publisher.run())
        scene(publisher, exchange)
        assert await publisher.drain(5.0, MessageClass)
        pump.cancel()
        await asyncio.gather(pump, return_exceptions=True)
        disk.close()

    asyncio.run(run())
    outbox.close()
    return exchange


def test_an_alert_is_stored_sent_and_kept_until_its_time(tmp_path: Path) -> None:
    clock = FakeClock()
    outbox = Outbox(tmp_path / "outbox", clock.wall())
    exchange = play(outbox, clock, lambda publisher, _: publisher.keep(message(clock)))
    assert [m.token for m in exchange.log] == ["a-1"]
    reopened = Outbox(tmp_path / "outbox", clock.wall())
    assert reopened.alerts_held() == ["x"]
    assert reopened.waiting()[MessageClass.ALERT] == 0
    reopened.close()


def test_an_alert_that_cannot_be_stored_is_sent_all_the_same(tmp_path: Path) -> None:
    clock = FakeClock()
    outbox = FullOutbox(tmp_path / "outbox", clock.wall())
    exchange = play(outbox, clock, lambda publisher, _: publisher.keep(message(clock)))
    assert [m.token for m in exchange.log] == ["a-1"]


def test_an_alert_that_is_erased_before_it_was_sent_is_never_sent(tmp_path: Path) -> None:
    clock = FakeClock()

    def scene(publisher: OutboxPublisher, exchange: FakeExchange) -> None:
        publisher.keep(message(clock))
        publisher.erase("x", "false_alert")

    assert play(Outbox(tmp_path / "outbox", clock.wall()), clock, scene).log == []


class NarrowBroker(FakeBroker):
    """A session with room for a number of messages, as the real one has."""

    room = 0

    def publish(self, message: Outgoing) -> bool:
        if not self.room:
            return False
        self.room -= 1
        return super().publish(message)


def notice(token: str, topic: str, qos: int = 1) -> Outgoing:
    return Outgoing(token, topic, b"{}", qos, True, None, "application/json")


@asynccontextmanager
async def connected(folder: Path) -> AsyncIterator[tuple[NarrowBroker, FakeExchange, OutboxPublisher]]:
    """A publisher in a session that has no room yet, with an outbox of its own."""
    clock, exchange = FakeClock(), FakeExchange()
    outbox = Outbox(folder / "outbox", clock.wall())
    broker = NarrowBroker(exchange, "cam-1")
    publisher = OutboxPublisher(broker, outbox, DiskInline(), clock, lambda gone: None)
    publisher.connect(lambda present: None)
    await asyncio.sleep(0)
    yield broker, exchange, publisher
    outbox.close()


@pytest.mark.parametrize("qos", [0, 1])
def test_a_notice_that_found_no_room_is_sent_when_there_is_room_and_only_the_newest_of_its_topic(
    tmp_path: Path, qos: int
) -> None:
    async def run() -> list[Outgoing]:
        async with connected(tmp_path) as (broker, exchange, publisher):
            for token in ("n-1", "n-2"):
                publisher.post(notice(token, "lfr/v1/demo/cam-1/state", qos))
            publisher.post(notice("n-3", "lfr/v1/demo/cam-1/birth", qos))
            assert exchange.log == []
            broker.room = 5
            pump = asyncio.create_task(publisher.run())
            await publisher.flush_notices(5.0)
            pump.cancel()
            await asyncio.gather(pump, return_exceptions=True)
        return exchange.log

    assert [m.token for m in asyncio.run(run())] == ["n-2", "n-3"]


def test_an_answer_makes_room_for_the_next_notice(tmp_path: Path) -> None:
    async def run() -> list[str]:
        async with connected(tmp_path) as (broker, exchange, publisher):
            broker.room = 1
            exchange.withhold()
            publisher.post(notice("n-1", "a"))
            publisher.post(notice("n-2", "b"))
            broker.room = 1
            exchange.answer()
            while len(exchange.log) < 2:
                await asyncio.sleep(0.005)
        return [m.token for m in exchange.log]

    assert asyncio.run(asyncio.wait_for(run(), 60.0)) == ["n-1", "n-2"]


def test_a_goodbye_waits_for_notices_that_found_no_room(tmp_path: Path) -> None:
    async def run() -> list[str]:
        async with connected(tmp_path) as (broker, exchange, publisher):
            publisher.post(notice("stopped", "lfr/v1/demo/cam-1/status"))
            asyncio.get_running_loop().call_later(0.1, setattr, broker, "room", 1)
            await publisher.flush_notices(5.0)
        return [m.token for m in exchange.log]

    assert asyncio.run(run()) == ["stopped"]


def test_only_the_newest_notice_of_a_topic_follows_a_gap(tmp_path: Path) -> None:
    async def run() -> list[Outgoing]:
        clock, exchange = FakeClock(), FakeExchange()
        exchange.down = True
        outbox = Outbox(tmp_path / "outbox", clock.wall())
        publisher = OutboxPublisher(FakeBroker(exchange, "cam-1"), outbox, DiskInline(), clock, lambda gone: None)
        publisher.connect(lambda present: None)
        for token in ("n-1", "n-2"):
            publisher.post(Outgoing(token, "lfr/v1/demo/cam-1/state", b"{}", 1, True, None, "application/json"))
        exchange.come_up()
        await asyncio.sleep(0)
        await publisher.flush_notices(1.0)
        outbox.close()
        return exchange.log

    assert [m.token for m in asyncio.run(run())] == ["n-2"]


class StubbornOutbox(Outbox):
    """An outbox whose disk refuses to erase a number of times."""

    refusals = 2

    def _refuse(self) -> None:
        if self.refusals:
            self.refusals -= 1
            raise Unavailable("disk I/O error")

    def erase_alert(self, alert_id: str, reason: str) -> ErasedAlert:
        self._refuse()
        return super().erase_alert(alert_id, reason)

    def erase_all(self, reason: str) -> list[ErasedAlert]:
        self._refuse()
        return super().erase_all(reason)


@pytest.mark.parametrize("alert_id", ["x", None])
def test_an_erasure_that_the_disk_refuses_is_tried_until_it_is_done(tmp_path: Path, alert_id: str | None) -> None:
    async def run() -> list[ErasedAlert]:
        clock, gone = FakeClock(), list[ErasedAlert]()
        outbox = StubbornOutbox(tmp_path / "outbox", clock.wall())
        publisher = OutboxPublisher(FakeBroker(FakeExchange(), "cam-1"), outbox, DiskInline(), clock, gone.extend)
        pump = asyncio.create_task(publisher.run())
        publisher.keep(message(clock))
        publisher.erase(alert_id, "false_alert")
        publisher.keep(message(clock, "other"))
        assert await publisher.drain(5.0, ())
        assert outbox.alerts_held() == []
        await settle(pump)
        outbox.close()
        return gone

    assert [deletion.alert_id for deletion in asyncio.run(run())] == ["x"]


def test_an_erasure_that_keeps_failing_is_not_drained_and_is_logged_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def run() -> None:
        clock = FakeClock()
        outbox = StubbornOutbox(tmp_path / "outbox", clock.wall())
        outbox.refusals = 1000
        publisher = OutboxPublisher(FakeBroker(FakeExchange(), "cam-1"), outbox, DiskInline(), clock, lambda gone: None)
        pump = asyncio.create_task(publisher.run())
        publisher.keep(message(clock))
        publisher.erase("x", "false_alert")
        assert not await publisher.drain(0.3, ())
        assert outbox.alerts_held() == ["x"]
        assert outbox.refusals < 999
        await settle(pump)
        outbox.close()

    asyncio.run(run())
    assert caplog.text.count("outbox.cannot_erase") == 1


def test_what_is_past_its_time_goes_however_busy_the_courier_is(tmp_path: Path) -> None:
    async def run() -> None:
        clock = FakeClock()
        outbox = Outbox(tmp_path / "outbox", clock.wall())
        publisher = OutboxPublisher(FakeBroker(FakeExchange(), "cam-1"), outbox, DiskInline(), clock, lambda gone: None)
        pump = asyncio.create_task(publisher.run())
        publisher.keep(message(clock))
        assert await publisher.drain(5.0, ())
        assert outbox.alerts_held() == ["x"]
        clock.advance(3601)
        for number in range(100):
            publisher.keep(replace(message(clock, f"n-{number}"), alert_id="y", revision=number))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        assert outbox.alerts_held() == ["y"]
        await settle(pump)
        outbox.close()

    asyncio.run(run())


def test_a_dead_outbox_is_not_drained_and_does_not_stop_the_publisher(tmp_path: Path) -> None:
    async def run() -> None:
        clock = FakeClock()
        outbox = Outbox(tmp_path / "outbox", clock.wall())
        publisher = OutboxPublisher(FakeBroker(FakeExchange(), "cam-1"), outbox, DiskInline(), clock, lambda gone: None)
        pump = asyncio.create_task(publisher.run())
        outbox.close()
        publisher.erase(None, "end_of_deployment")
        assert not await publisher.drain(0.3, ())
        assert not pump.done()
        assert await settle(pump)

    asyncio.run(run())


def refused_and_erased(tmp_path: Path, request: Callable[[OutboxPublisher], None]) -> tuple[list[str], list[str]]:
    """An alert that the disk refuses and that `request` has erased: what was published, and the receipts' alerts."""
    clock, exchange, gone = FakeClock(), FakeExchange(), list[ErasedAlert]()
    outbox = FullOutbox(tmp_path / "outbox", clock.wall())

    async def run() -> None:
        hub = FakeBroker(exchange, "hub")
        hub.subscribe("lfr/#", lambda topic, payload: None)
        hub.connect(lambda present, reason: None, lambda delivery: None)
        publisher = OutboxPublisher(FakeBroker(exchange, "cam-1"), outbox, DiskInline(), clock, gone.extend)
        publisher.connect(lambda present: None)
        publisher.set_hub_online(online=True)
        pump = asyncio.create_task(publisher.run())
        alert = message(clock)
        publisher.keep(replace(alert, probe=replace(alert, id="p-1", kind=MessageClass.PROBE)))
        request(publisher)
        assert await publisher.drain(5.0, MessageClass)
        await settle(pump)

    asyncio.run(run())
    outbox.close()
    return [sent.token for sent in exchange.log], [erased.alert_id for erased in gone if erased.existed]


@pytest.mark.parametrize(
    "request_",
    [
        lambda publisher: publisher.erase("x", "withdrawn"),
        lambda publisher: publisher.erase_undelivered(lambda payload: payload == b"{}", "withdrawn"),
        lambda publisher: publisher.erase(None, "end_of_deployment"),
    ],
    ids=["its alert", "its entry", "everything"],
)
def test_an_alert_that_the_disk_refuses_and_that_is_to_be_erased_is_not_sent(
    tmp_path: Path, request_: Callable[[OutboxPublisher], None]
) -> None:
    sent, receipts = refused_and_erased(tmp_path, request_)
    assert sent == [], "neither alert nor picture"
    assert receipts == ["x"]


@pytest.mark.parametrize(
    "request_",
    [
        lambda publisher: publisher.erase("another", "withdrawn"),
        lambda publisher: publisher.erase_undelivered(lambda payload: False, "withdrawn"),
    ],
    ids=["another alert", "another entry"],
)
def test_an_erasure_of_others_leaves_it_to_be_sent(tmp_path: Path, request_: Callable[[OutboxPublisher], None]) -> None:
    assert refused_and_erased(tmp_path, request_)[0] == ["a-1", "p-1"]
