"""The hub's session on a fake exchange: what is said until it is heard, what is refused."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pyrage
import pytest

from device.domain.finding import Mode
from device.domain.time import wall
from device.edges.broker.fake import FakeBroker, FakeExchange
from device.hub_api import alert_builder, messages
from device.hub_api.events import CONTENT_TYPE, decode, encode
from device.hub_api.identifiers import uuid7
from device.hub_api.topics import DeviceTopics, HubTopics
from device.ports.broker import Outgoing
from tools.hub.console.desk import Desk
from tools.hub.console.session import GIVE_UP_S, REPEAT_S, SETTLED_S, HubSession, offline_message
from tools.hub.storage.deployment_keys import DeploymentKeys
from tools.hub.storage.probes import ProbeOpener
from tools.hub.storage.sealed_desk import SealedDesk

NOON = wall(datetime(2026, 11, 23, 12, 0, tzinfo=timezone.utc))
TOPICS = DeviceTopics("demo", "cam-1")
JPEG = b"\xff\xd8\xff\xe0 a picture"
RECEIPT = alert_builder.erasure_of("alert", count=1, alert_id="a-1", reason="false_alert", mode=Mode.DEMO, at=NOON)


class Bench:
    """A hub session and one device on a fake exchange, with a clock that is told."""

    def __init__(self, desk: Desk, opener: ProbeOpener, store: SealedDesk | None = None) -> None:
        self.store = store
        self.now = NOON
        self.exchange = FakeExchange()
        will = offline_message("demo", Mode.DEMO, NOON)
        broker = FakeBroker(self.exchange, "hub", will)
        self.session = HubSession(broker, "demo", Mode.DEMO, desk, opener, lambda: self.now, lambda: None, store=store)
        loop = SimpleNamespace(is_closed=lambda: False, call_soon_threadsafe=lambda call, *a: call(*a))
        self.session.start(cast(asyncio.AbstractEventLoop, loop))
        self.device = FakeBroker(self.exchange, "cam-1")

    def device_appears(self) -> None:
        self.device.subscribe(HubTopics("demo").adjudications, lambda _, __: None)
        self.device.connect(lambda _, __: None, lambda _: None)

    def device_says(self, topic: str, data: messages.Message) -> None:
        payload = encode(data, event_id=uuid7(NOON), source=TOPICS.base, subject="x", at=NOON)
        self.raw(topic, payload)

    def raw(self, topic: str, payload: bytes) -> None:
        self.device.publish(Outgoing(uuid7(NOON), topic, payload, 1, False, None, CONTENT_TYPE))

    def judgements(self) -> int:
        return sum(m.topic.endswith("/adjudication") for m in self.exchange.log)

    def after(self, seconds: float) -> None:
        self.now = wall(self.now + timedelta(seconds=seconds))
        self.session.repeat()


@pytest.fixture
def bench(desk: Desk, opener: ProbeOpener) -> Bench:
    return Bench(desk, opener)


def test_a_true_alert_is_repeated_until_it_was_delivered_to_a_device_that_stays_online(bench: Bench) -> None:
    bench.session.judge("a-1", "true_alert", "op-1", "cam-1")
    bench.after(REPEAT_S - 1)
    assert bench.judgements() == 1
    bench.device_appears()
    bench.after(2)
    assert (bench.judgements(), bench.session.waiting()) == (2, 1), "delivered to a session, of a device not online yet"
    bench.device_says(TOPICS.status, messages.Status(mode=None, status="online", boot_id="b", bd_seq=1))
    bench.after(1)
    assert (bench.judgements(), bench.session.waiting()) == (3, 1)
    bench.after(SETTLED_S)
    assert (bench.judgements(), bench.session.waiting()) == (3, 0)


def test_a_judgement_that_is_not_settled_outlives_the_hub(desk: Desk, opener: ProbeOpener, tmp_path: Path) -> None:
    first = Bench(desk, opener, SealedDesk(tmp_path / "desk.sqlite"))
    first.session.judge("a-1", "false_alert", "op-1", "cam-1")
    again = Bench(desk, opener, SealedDesk(tmp_path / "desk.sqlite"))
    again.device_appears()
    again.after(0)
    assert (again.judgements(), again.session.waiting()) == (1, 1)
    again.device_says(TOPICS.erasure, RECEIPT)
    assert again.store is not None
    again.store.commit()
    assert SealedDesk(tmp_path / "desk.sqlite").judgements() == []


def test_a_false_alert_is_said_until_its_erasure_is_reported(bench: Bench) -> None:
    bench.device_appears()
    bench.session.judge("a-1", "false_alert", "op-1")
    bench.after(REPEAT_S)
    assert (bench.judgements(), bench.session.waiting()) == (2, 1)
    bench.device_says(TOPICS.erasure, RECEIPT)
    bench.after(REPEAT_S)
    assert (bench.judgements(), bench.session.waiting()) == (2, 0)


def test_repetitions_of_a_judgement_keep_their_event_id(bench: Bench) -> None:
    bench.session.judge("a-1", "false_alert", "op-1")
    bench.after(REPEAT_S)
    said = [decode(m.payload).id for m in bench.exchange.log if m.topic.endswith("/adjudication")]
    assert len(said) == 2
    assert len(set(said)) == 1


def test_a_judgement_is_given_up_after_a_day(bench: Bench) -> None:
    bench.session.judge("a-1", "false_alert", "op-1")
    bench.after(GIVE_UP_S + 1)
    assert bench.session.waiting() == 0


def test_a_restart_of_the_broker_brings_state_and_judgements_again(bench: Bench) -> None:
    bench.session.judge("a-1", "false_alert", "op-1")
    bench.session.publish_state("present", "s-1")
    bench.session.publish_state("present", "s-1")
    states = [m for m in bench.exchange.log if m.topic.endswith("hub/state")]
    assert len(states) == 1
    bench.exchange.go_down()
    bench.exchange.come_up()
    bench.session.publish_state("present", "s-1")
    bench.session.repeat()
    assert "lfr/v1/demo/hub/state" in bench.exchange.retained
    assert bench.judgements() == 2


def test_the_will_of_a_dead_hub_says_that_nobody_judges(bench: Bench) -> None:
    bench.session.publish_state("present", "s-1")
    bench.exchange.kill("hub")
    said = decode(bench.exchange.retained["lfr/v1/demo/hub/state"].payload).data
    assert isinstance(said, messages.HubState)
    assert (said.state, said.operator, said.operator_present) == ("offline", "absent", False)


@pytest.mark.parametrize("operator", ["present", "simulated", "absent"])
def test_a_simulated_operator_is_called_one_and_is_nobody_present(bench: Bench, operator: messages.Operator) -> None:
    bench.session.publish_state(operator, "s-1")
    said = decode(bench.exchange.retained["lfr/v1/demo/hub/state"].payload).data
    assert isinstance(said, messages.HubState)
    assert (said.operator, said.operator_present) == (operator, operator == "present")


@pytest.mark.parametrize("payload", [b"", b"not json", b'{"type":"uk.lfr.alert.v1"}', b"\xff" * 100])
def test_rubbish_from_a_device_is_counted_and_not_shown(bench: Bench, desk: Desk, payload: bytes) -> None:
    bench.device_appears()
    bench.raw(TOPICS.alert("a-1"), payload)
    assert (bench.session.refused, desk.cases) == (1, {})


def test_a_message_in_another_devices_name_is_refused(bench: Bench, desk: Desk) -> None:
    bench.device_appears()
    bench.device_says("lfr/v1/demo/cam-2/erasure", RECEIPT)
    assert (bench.session.refused, desk.receipts) == (1, [])


def test_a_probe_for_another_hub_or_without_a_picture_is_refused(bench: Bench, desk: Desk, tmp_path: Path) -> None:
    bench.device_appears()
    keys = DeploymentKeys(tmp_path)
    own = pyrage.x25519.Recipient.from_str(keys.recipient("d-1") or "")
    foreign = pyrage.x25519.Identity.generate().to_public()
    bench.raw(TOPICS.probe("a-1"), pyrage.encrypt(JPEG, [foreign]))
    bench.raw(TOPICS.probe("a-2"), pyrage.encrypt(b"<svg onload=alert(1)>", [own]))
    bench.raw(TOPICS.probe("a-3"), pyrage.encrypt(JPEG, [own]))
    assert bench.session.refused == 2
    assert list(desk.pictures) == ["a-3"]
    keys.recipient_for("d-2", wall(datetime.now(timezone.utc)))
    bench.raw(TOPICS.probe("a-4"), pyrage.encrypt(JPEG, [own]))
    assert "a-4" in desk.pictures, "another deployment's key does not stand in the way"
    keys.drop("d-1")
    bench.raw(TOPICS.probe("a-5"), pyrage.encrypt(JPEG, [own]))
    assert bench.session.refused == 3, "its deployment has ended: nothing of it is held in memory either"
    assert "a-5" not in desk.pictures
