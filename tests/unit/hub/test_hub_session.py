"""The hub's session on a fake exchange: what is sent until it is acknowledged, what is refused."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import Literal, cast

import msgspec
import pyrage
import pytest

from device.domain.finding import Mode
from device.domain.time import rfc3339, wall
from device.edges.broker.fake import FakeBroker, FakeExchange
from device.errors import Unavailable
from device.hub_api import alert_builder, messages
from device.hub_api.events import CONTENT_TYPE, decode, encode
from device.hub_api.identifiers import uuid7
from device.hub_api.topics import DeviceTopics, HubTopics
from device.ports.broker import Outgoing
from tests.commands import signer
from tools.hub.console.desk import Desk
from tools.hub.console.hub_state import offline_message
from tools.hub.console.session import GIVE_UP_S, REPEAT_S, SETTLED_S, HubSession
from tools.hub.storage.deployment_keys import DeploymentKeys
from tools.hub.storage.probes import ProbeOpener
from tools.hub.storage.sealed_desk import SealedDesk

NOON = wall(datetime(2026, 11, 23, 12, 0, tzinfo=timezone.utc))
TOPICS = DeviceTopics("demo", "cam-1")
JPEG = b"\xff\xd8\xff\xe0 a picture"
RECEIPT = alert_builder.erasure_of("alert", count=1, alert_id="a-1", reason="false_alert", mode=Mode.DEMO, at=NOON)


class Bench:
    """A hub session and one device on a fake exchange, with a clock that is set."""

    def __init__(
        self, desk: Desk, opener: ProbeOpener, store: SealedDesk | None = None, folder: Path | None = None
    ) -> None:
        self.store = store
        self.now = NOON
        self.exchange = FakeExchange()
        will = offline_message("demo", Mode.DEMO, NOON)
        broker = FakeBroker(self.exchange, "hub", will)
        self.session = HubSession(
            broker,
            "demo",
            Mode.DEMO,
            desk,
            opener,
            lambda: self.now,
            lambda: None,
            store=store,
            signer=signer(folder) if folder is not None else None,
        )
        loop = SimpleNamespace(is_closed=lambda: False, call_soon_threadsafe=lambda call, *a: call(*a))
        self.session.start(cast(asyncio.AbstractEventLoop, loop))
        self.device = FakeBroker(self.exchange, "cam-1")

    def device_appears(self) -> None:
        self.device.subscribe(HubTopics("demo").adjudications("cam-1"), lambda _, __: None)
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


def test_a_false_alert_is_sent_until_its_erasure_is_reported(bench: Bench) -> None:
    bench.device_appears()
    bench.session.judge("a-1", "false_alert", "op-1", "cam-1")
    bench.after(REPEAT_S)
    assert (bench.judgements(), bench.session.waiting()) == (2, 1)
    bench.device_says(TOPICS.erasure, RECEIPT)
    bench.after(REPEAT_S)
    assert (bench.judgements(), bench.session.waiting()) == (2, 0)


def test_repetitions_of_a_judgement_keep_their_event_id(bench: Bench) -> None:
    bench.session.judge("a-1", "false_alert", "op-1", "cam-1")
    bench.after(REPEAT_S)
    output = [decode(m.payload).id for m in bench.exchange.log if m.topic.endswith("/adjudication")]
    assert len(output) == 2
    assert len(set(output)) == 1


def test_a_later_judgement_or_release_replaces_an_older_one_that_waits(bench: Bench) -> None:
    """Repeated after it, the older one would undo it: a released case held again, a corrected judgement back."""
    hold = messages.Hold(
        mode=None,
        alert_id="a-1",
        state="held",
        kind="evidence",
        reason="prosecution",
        owner="CID-4",
        review_by=rfc3339(wall(NOON + timedelta(days=9))),
        officer_ref="op-1",
        at=rfc3339(NOON),
    )
    bench.session.hold("cam-1", hold)
    bench.session.judge("a-1", "true_alert", "op-1", "cam-1")
    bench.session.judge("a-2", "true_alert", "op-1", "cam-1")
    bench.session.hold("cam-1", msgspec.structs.replace(hold, state="released"))
    bench.session.judge("a-1", "false_alert", "op-1", "cam-1")
    sent = len(bench.exchange.log)
    bench.after(REPEAT_S)
    again = [decode(message.payload).data for message in bench.exchange.log[sent:]]
    assert [(type(data).__name__, getattr(data, "state", getattr(data, "outcome", ""))) for data in again] == [
        ("Adjudication", "true_alert"),
        ("Hold", "released"),
        ("Adjudication", "false_alert"),
    ]


def test_a_judgement_is_given_up_after_a_day(bench: Bench) -> None:
    bench.session.judge("a-1", "false_alert", "op-1", "cam-1")
    bench.after(GIVE_UP_S + 1)
    assert bench.session.waiting() == 0


def test_a_restart_of_the_broker_brings_state_and_judgements_again(bench: Bench) -> None:
    bench.session.judge("a-1", "false_alert", "op-1", "cam-1")
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


def test_the_will_of_a_lost_hub_states_that_no_operator_is_present(bench: Bench) -> None:
    bench.session.publish_state("present", "s-1")
    bench.exchange.kill("hub")
    output = decode(bench.exchange.retained["lfr/v1/demo/hub/state"].payload).data
    assert isinstance(output, messages.HubState)
    assert (output.state, output.operator, output.operator_present) == ("offline", "absent", False)


@pytest.mark.parametrize("operator", ["present", "simulated", "absent"])
def test_a_simulated_operator_is_called_one_and_is_nobody_present(bench: Bench, operator: messages.Operator) -> None:
    bench.session.publish_state(operator, "s-1")
    output = decode(bench.exchange.retained["lfr/v1/demo/hub/state"].payload).data
    assert isinstance(output, messages.HubState)
    assert (output.operator, output.operator_present) == (operator, operator == "present")


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


def commands(bench: Bench) -> list[messages.Command]:
    return [
        data
        for m in bench.exchange.log
        if "/cmd/" in m.topic and isinstance(data := decode(m.payload).data, messages.Command)
    ]


def online(bench: Bench) -> None:
    bench.device_appears()
    bench.device_says(TOPICS.status, messages.Status(mode=None, status="online", boot_id="b", bd_seq=1))


def reply(command: messages.Command, result: Literal["done", "refused"] = "done") -> messages.CommandReply:
    return messages.CommandReply(
        mode=None, command_id=command.command_id, name=command.name, result=result, at=rfc3339(NOON)
    )


def test_a_stop_is_repeated_through_a_restart_of_the_hub_until_its_device_answers(
    desk: Desk, opener: ProbeOpener, tmp_path: Path
) -> None:
    store = SealedDesk(tmp_path / "desk.sqlite")
    first = Bench(desk, opener, store, tmp_path / "hub")
    first.session.command("cam-1", "stop", "op-1")
    second = Bench(desk, opener, store, tmp_path / "hub")
    online(second)
    second.after(REPEAT_S)
    second.after(REPEAT_S + SETTLED_S)
    sent = commands(second)
    assert (len(sent) >= 2, len({c.command_id for c in sent})) == (True, 1)
    assert sent[0].given_by == "op-1"
    message = next(m for m in second.exchange.log if "/cmd/" in m.topic)
    assert (message.response_topic, message.correlation) == (
        TOPICS.command_reply("stop"),
        sent[0].command_id.encode(),
    )
    second.device_says(TOPICS.command_reply("stop"), reply(sent[0]))
    assert (second.session.waiting(), store.judgements()) == (0, [])


def test_another_device_cannot_answer_for_the_one_that_is_meant(
    desk: Desk, opener: ProbeOpener, tmp_path: Path
) -> None:
    bench = Bench(desk, opener, folder=tmp_path / "hub")
    bench.session.command("cam-1", "stop", "op-1")
    output = encode(reply(commands(bench)[0]), event_id="e", source="lfr/v1/demo/cam-2", subject="x", at=NOON)
    bench.device.connect(lambda _, __: None, lambda _: None)
    bench.raw("lfr/v1/demo/cam-2/cmd/stop/reply", output)
    assert bench.session.waiting() == 1


def test_a_resume_takes_back_a_stop_that_waits_and_is_itself_sent_once(
    desk: Desk, opener: ProbeOpener, tmp_path: Path
) -> None:
    bench = Bench(desk, opener, folder=tmp_path / "hub")
    bench.session.command("cam-1", "stop", "op-1")
    online(bench)
    bench.session.command("cam-1", "resume", "op-2")
    bench.after(3 * REPEAT_S)
    assert [c.name for c in commands(bench)].count("resume") == 1
    assert bench.session.waiting() == 0
    assert commands(bench)[-1].boot_id == "b"
    bench.device_says(TOPICS.command_reply("resume"), reply(commands(bench)[-1], "refused"))
    view = desk.devices["cam-1"].command
    assert view is not None
    assert (view.name, view.given_by, view.result) == ("resume", "op-2", "refused")


def test_a_resume_that_was_not_sent_is_reported_and_leaves_the_stop(
    desk: Desk, opener: ProbeOpener, tmp_path: Path
) -> None:
    bench = Bench(desk, opener, folder=tmp_path / "hub")
    online(bench)
    bench.session.command("cam-1", "stop", "op-1")
    bench.exchange.go_down()
    with pytest.raises(Unavailable, match="resume was not sent"):
        bench.session.command("cam-1", "resume", "op-2")
    assert bench.session.waiting() == 1
    view = desk.devices["cam-1"].command
    assert view is not None
    assert view.name == "stop"


def test_a_device_that_has_not_reported_can_only_be_stopped(desk: Desk, opener: ProbeOpener, tmp_path: Path) -> None:
    bench = Bench(desk, opener, folder=tmp_path / "hub")
    with pytest.raises(Unavailable, match="only a stop"):
        bench.session.command("cam-1", "resume", "op-1")
