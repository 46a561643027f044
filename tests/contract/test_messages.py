"""What is sent is what is published: the committed schemas, and real messages through both brokers against them."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import Any

import jsonschema
import pytest

import tests.sample_alerts as sample
from device.domain.finding import Counters, Mode
from device.domain.time import rfc3339, wall
from device.edges.broker.fake import FakeBroker, FakeExchange, matches
from device.edges.broker.paho import PahoBroker
from device.hub_api import alert_builder, contract, messages
from device.hub_api.events import CONTENT_TYPE, decode, encode
from device.hub_api.identifiers import uuid7
from device.hub_api.topics import DeviceTopics, HubTopics
from device.ports.broker import Broker, Outgoing
from tests.sample_alerts import ENGINE, a_candidate, a_context
from tools.hub.broker.mosquitto import start_broker
from tools.hub.site import init_hub
from tools.hub.storage.folder import HubFolder

NOW = wall(datetime(2026, 11, 23, 12, 0, tzinfo=timezone.utc))
AT = rfc3339(NOW)
ALERT_ID = uuid7(NOW, bytes(10))
DEVICE, HUB = DeviceTopics("demo", "cam-1"), HubTopics("demo")


def an_alert() -> messages.Alert:
    """An alert whose score has no second: infinity is not JSON."""
    context = a_context(NOW, zone_id="gate", delete_by=NOW)
    made: messages.Alert = sample.an_alert(ALERT_ID, a_candidate(second_gap=float("inf")), context, NOW)
    return made


def examples() -> list[tuple[str, messages.Message]]:
    """One message of every type with its topic."""
    demo = Mode.DEMO
    condition = messages.ConditionReading(name="sign_lit", table="run", result="pending", text="the sign")
    lamps = messages.LampReading(
        sign_driven=True, sign_sensed=True, power=True, recognising=True, alert=False, fault=False, simulated=True
    )
    no_list = messages.WatchlistState(mode=demo, watchlist_id=None, sha256=None, subjects=0, images=0)
    return [
        (DEVICE.alert(ALERT_ID), an_alert()),
        (DEVICE.alert(ALERT_ID), alert_builder.with_probe(an_alert(), "b" * 64)),
        (DEVICE.status, messages.Status(mode=None, status="offline", boot_id="b-1", bd_seq=0)),
        (
            DEVICE.birth,
            messages.Birth(
                mode=None,
                device_id="cam-1",
                boot_id="b-1",
                bd_seq=0,
                software_version="0.1.0",
                cameras=["front"],
                engine=ENGINE,
                schemas=["uk.lfr.alert.v1"],
            ),
        ),
        (
            DEVICE.state,
            messages.DeviceState(
                mode=demo,
                state="inhibited",
                since=AT,
                inhibit_reasons=["no operator"],
                conditions=[condition],
                lamps=lamps,
            ),
        ),
        (DEVICE.health, messages.Health(mode=demo, at=AT, fps=25.0, temperature_c={"cpu": 51.5})),
        (DEVICE.camera_status("front"), messages.CameraStatus(mode=demo, camera_id="front", status="frozen", since=AT)),
        (DEVICE.watchlist_state, no_list),
        (
            DEVICE.stats,
            alert_builder.stats_from(
                Counters(faces_seen=3), mode=demo, boot_id="b-1", fps=25.0, at=NOW, deployment_id="d-1"
            ),
        ),
        (
            DEVICE.erasure,
            alert_builder.erasure_of("alert", count=1, alert_id=ALERT_ID, reason="false_alert", mode=demo, at=NOW),
        ),
        (
            DEVICE.identity,
            messages.Identity(mode=demo, boot_id="b-1", deployment_id="d-1", recipient="age1" + "q" * 58, at=AT),
        ),
        (DEVICE.audit, audit_head()),
        (
            DEVICE.command_reply("resume"),
            messages.CommandReply(mode=demo, command_id="c-1", name="resume", result="refused", reason="late", at=AT),
        ),
        *from_the_hub(),
    ]


def audit_head() -> messages.AuditHead:
    """The signed head of a log of seven rows."""
    return messages.AuditHead(
        mode=Mode.DEMO, seq=7, hash="a" * 64, at=AT, key="b" * 64, boot="b-1", prev="c" * 64, sig="d" * 128
    )


def of_the_blue_list() -> list[tuple[str, messages.Message]]:
    """What a device says of volunteers."""
    demo = Mode.DEMO
    return [
        (
            DEVICE.volunteer_seen,
            messages.VolunteerSeen(
                mode=demo, deployment_id="d-1", camera_id="front", entry_ref="V-1", score=0.7, threshold=0.5, at=AT
            ),
        ),
        (DEVICE.volunteer_pass, messages.VolunteerPass(mode=demo, deployment_id="d-1", at=AT)),
    ]


def from_the_hub() -> list[tuple[str, messages.Message]]:
    """One message of every type that a hub sends."""
    demo = Mode.DEMO
    judgement: dict[str, Any] = {"mode": demo, "alert_id": ALERT_ID, "officer_ref": "op-1", "at": AT}
    reason = messages.Reason(factor="environment", text="rain on the lens")
    return [
        *of_the_blue_list(),
        (
            HUB.state,
            messages.HubState(
                mode=demo, state="online", operator="present", operator_present=True, session_id="s", at=AT
            ),
        ),
        (HUB.received("cam-1"), messages.Received(mode=demo, event_ids=[ALERT_ID], at=AT)),
        (DEVICE.command("stop"), a_command()),
        (
            HUB.adjudication("cam-1", ALERT_ID),
            messages.Adjudication(outcome="false_alert", reasons=[reason], **judgement),
        ),
        (HUB.engagement("cam-1", ALERT_ID), messages.Engagement(outcome="declined", **judgement)),
        (
            HUB.hold("cam-1", ALERT_ID),
            messages.Hold(
                state="held", kind="evidence", reason="prosecution", owner="CID-4", review_by=AT, **judgement
            ),
        ),
        (HUB.disposition("cam-1", ALERT_ID), messages.Disposition(outcome="no_action", **judgement)),
    ]


def a_command() -> messages.Command:
    """A stop, as the hub signs it."""
    return messages.Command(
        mode=Mode.DEMO,
        command_id="c-1",
        device_id="cam-1",
        name="stop",
        boot_id=None,
        given_by="op-1",
        at=AT,
        expires_at=AT,
        certificate="MIIB",
        sig="MEUC",
    )


def payload(topic: str, data: messages.Message) -> bytes:
    source = HUB.base if from_hub(topic) else DEVICE.base
    return encode(data, event_id=uuid7(NOW), source=source, subject=ALERT_ID, at=NOW)


def from_hub(topic: str) -> bool:
    return topic.startswith(HUB.base) or topic == DEVICE.command("stop")


def validator(name: str) -> Any:
    schema = json.loads((contract.FOLDER / f"{name}.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def test_the_committed_contract_equals_what_the_structs_generate() -> None:
    committed = {file.name: file.read_text(encoding="utf-8") for file in contract.FOLDER.glob("*.json")}
    assert committed == contract.files(), "run `python -m device.hub_api.contract` and commit what it writes"


@pytest.mark.parametrize("indent", ["", "    ", "\t"])
def test_a_schema_is_the_same_however_docstrings_are_indented(indent: str, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = "First line.", "", "count   how many", "limit   how many at most"
    for described in (messages.Stats, messages.ConditionReading):  # an event's data, and a struct inside another's
        monkeypatch.setattr(described, "__doc__", f"\n{indent}".join(lines))
    stats, state = contract.schema_of(messages.Stats), contract.schema_of(messages.DeviceState)
    expected = "First line. count how many limit how many at most"
    assert stats["description"] == stats["$defs"]["Stats"]["description"] == expected
    assert state["$defs"]["ConditionReading"]["description"] == expected


def test_a_property_that_is_called_description_keeps_its_schema() -> None:
    properties = {"description": {"type": "string", "description": "two\n    lines"}}
    assert contract.settled(properties) == {"description": {"type": "string", "description": "two lines"}}


def test_null_comes_last_among_alternatives() -> None:
    null, engine = {"type": "null"}, {"$ref": "#/$defs/Engine"}
    assert contract.settled({"anyOf": [null, engine]}) == contract.settled({"anyOf": [engine, null]})


def test_there_is_an_example_of_every_type_here() -> None:
    assert {type(data) for _, data in examples()} == set(messages.MESSAGES)


@pytest.mark.parametrize(("topic", "data"), examples(), ids=lambda value: getattr(value, "TYPE", None))
def test_every_message_survives_the_round_trip_and_carries_its_mode(topic: str, data: messages.Message) -> None:
    sent = payload(topic, data)
    assert decode(sent).data == data
    assert "mode" in json.loads(sent)["data"]


@pytest.mark.parametrize(("topic", "data"), examples(), ids=lambda value: getattr(value, "TYPE", None))
def test_every_topic_is_a_channel_of_the_asyncapi_document(topic: str, data: messages.Message) -> None:
    import re

    patterns = {c.name: re.sub(r"\{\w+\}", "+", c.address) for c in contract.CHANNELS if c.message is type(data)}
    assert any(matches(pattern, topic) for pattern in patterns.values())


def test_every_reference_of_the_asyncapi_document_has_its_file() -> None:
    document = json.loads((contract.FOLDER / contract.ASYNCAPI).read_text())
    named = [
        m["payload"]["schema"]["$ref"]
        for c in document["channels"].values()
        for m in c["messages"].values()
        if "schema" in m["payload"]
    ]
    assert sorted({Path(ref).name for ref in named}) == sorted(set(contract.files()) - {contract.ASYNCAPI})


@pytest.mark.parametrize(
    "spoil",
    [
        lambda e: e["data"].pop("caution"),
        lambda e: e["data"].__setitem__("caution", "identified"),
        lambda e: e["data"].pop("mode"),
        lambda e: e["data"].__setitem__("mode", "covert"),
        lambda e: e.__setitem__("type", "uk.lfr.alert.v2"),
        lambda e: e["data"].__setitem__("captured_at", "yesterday"),
        lambda e: e["data"]["track"].__setitem__("bbox", [1.0]),
    ],
)
def test_a_spoilt_alert_is_refused_by_the_schema(spoil: Callable[[dict[str, Any]], object]) -> None:
    event = json.loads(payload(DEVICE.alert(ALERT_ID), an_alert()))
    assert validator("uk.lfr.alert.v1").is_valid(event)
    spoil(event)
    assert not validator("uk.lfr.alert.v1").is_valid(event)


def test_an_alert_holds_nothing_about_the_person() -> None:
    event = json.loads(payload(DEVICE.alert(ALERT_ID), an_alert()))
    keys: list[str] = []

    def collect(value: object) -> None:
        if isinstance(value, dict):
            keys.extend(value)
            for inner in value.values():
                collect(inner)

    collect(event)
    forbidden = {
        "name",
        "date_of_birth",
        "dob",
        "offence",
        "embedding",
        "template",
        "image",
        "age",
        "sex",
        "gender",
        "ethnicity",
    }
    assert forbidden.isdisjoint(keys)


@pytest.mark.parametrize("kind", ["fake", "mosquitto"])
def test_messages_really_sent_validate_against_the_published_schemas(kind: str, tmp_path: Path) -> None:
    received: dict[str, bytes] = {}
    complete = threading.Event()

    def note(topic: str, content: bytes) -> None:
        received[topic] = content
        if len(received) == len({topic for topic, _ in examples()}):
            complete.set()

    with Sessions(kind, tmp_path) as sessions:
        sessions.brokers["listener"].subscribe("lfr/v1/demo/#", note)
        sessions.connect()
        for n, (topic, data) in enumerate(examples()):
            sender = sessions.brokers["hub" if from_hub(topic) else "cam-1"]
            assert sender.publish(Outgoing(f"t-{n}", topic, payload(topic, data), 1, False, 60, CONTENT_TYPE))
        assert complete.wait(60.0), sorted(received)
    for topic, content in received.items():
        event = json.loads(content)
        validator(event["type"]).validate(event)
        assert event["source"] == (HUB.base if from_hub(topic) else DEVICE.base)


def _note_online(up: threading.Event, online: bool, _: str) -> None:
    if online:
        up.set()


class Sessions:
    """A hub, a device and a listener on one exchange or one mosquitto."""

    def __init__(self, kind: str, folder: Path) -> None:
        self.running = None
        self.brokers: dict[str, Broker]
        people = ("listener", "hub", "cam-1")
        if kind == "fake":
            exchange = FakeExchange()
            self.brokers = {name: FakeBroker(exchange, name) for name in people}
            return
        init_hub(folder / "hub", site="demo", devices=("cam-1",), mode=Mode.TEST)
        hub = HubFolder(folder / "hub")
        self.running = start_broker(hub)
        self.brokers = {name: PahoBroker(hub.address(name, self.running.port), name) for name in people}

    def connect(self) -> None:
        for broker in self.brokers.values():
            up = threading.Event()
            broker.connect(partial(_note_online, up), lambda _: None)
            assert up.wait(60.0)

    def __enter__(self) -> Sessions:
        return self

    def __exit__(self, *_: object) -> None:
        for broker in self.brokers.values():
            broker.close()
        if self.running is not None:
            self.running.stop()
