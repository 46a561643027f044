"""What an alert must be before it becomes a case; what is silent is unknown."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest

from device.domain.finding import Counters, Mode
from device.domain.time import WallTime, rfc3339, wall
from device.edges.broker.fake import FakeBroker, FakeExchange
from device.hub_api import alert_builder, messages
from device.hub_api.events import CONTENT_TYPE, encode
from device.hub_api.identifiers import uuid7
from device.hub_api.messages import Alert
from device.hub_api.topics import DeviceTopics, Place
from device.ports.broker import Outgoing
from tests.sample_alerts import NOON, an_alert
from tools.hub.broker.configuration import configuration
from tools.hub.console.alert_checks import BURST, RATE_PER_S, AlertChecks
from tools.hub.console.case import UNKNOWN_AFTER_S
from tools.hub.console.desk import MAX_CASES, Desk
from tools.hub.console.session import HubSession
from tools.hub.console.view import snapshot
from tools.hub.storage.folder import ConsoleSettings
from tools.hub.storage.probes import ProbeOpener
from tools.hub.storage.published import PublishedDeployment

TOPICS = DeviceTopics("demo", "cam-1")
DEPLOYMENT = PublishedDeployment(
    id="d-1",
    mode="demo",
    devices=frozenset({"cam-1"}),
    planned_end=wall(NOON + timedelta(hours=2)),
    alerts_until=wall(NOON + timedelta(hours=26)),
    ended_at=None,
    refs=frozenset({"e-042"}),
    watchlist_id="wl-1",
)


def checked(
    alert: Alert, *, topic_id: str = "a-1", retained: bool = False, deployment: PublishedDeployment = DEPLOYMENT
) -> str:
    checks = AlertChecks(Mode.DEMO, lambda: {deployment.id: deployment})
    return checks.problem(Place("demo", "cam-1", "alert", topic_id), alert, NOON, retained=retained, known=False)


def changed(**changes: object) -> Alert:
    alert: Alert = msgspec.structs.replace(an_alert("a-1"), **changes)
    return alert


def kept_until(moment: WallTime) -> Alert:
    return changed(retention=messages.Retention(class_="alert", delete_by=rfc3339(moment)))


def candidate(**changes: object) -> Alert:
    return changed(candidate=msgspec.structs.replace(an_alert("a-1").candidate, **changes))


def test_an_alert_of_a_published_deployment_may_be_a_case() -> None:
    assert checked(an_alert("a-1")) == ""


@pytest.mark.parametrize(
    ("alert", "words"),
    [
        (changed(mode=Mode.OPERATIONAL), "mode operational"),
        (changed(device_id="cam-2"), "in the name of cam-2"),
        (changed(deployment_id="d-9"), "not published"),
        (changed(score=0.3), "below its threshold"),
        (changed(decided_at=rfc3339(wall(NOON + timedelta(minutes=6)))), "from the future"),
        (changed(decided_at="1970-01-01T00:00:00.000Z"), "from long ago"),
        (changed(captured_at=rfc3339(wall(NOON + timedelta(minutes=6)))), "before its picture was taken"),
        (kept_until(wall(NOON + timedelta(days=32))), "longer than the signed policy"),
        (kept_until(wall(NOON + timedelta(hours=27))), "longer than the signed policy"),
        (candidate(entry_ref="e-1"), "not on the list"),
        (candidate(watchlist_id="wl-2"), "another list"),
        (candidate(category="x" * 400), "category has more than 100 letters"),
        (changed(zone_id="z" * 400), "zone has more than 100 letters"),
    ],
)
def test_what_does_not_fit_is_no_case(alert: Alert, words: str) -> None:
    assert words in checked(alert)


def test_a_retained_alert_or_one_on_anothers_topic_is_no_case() -> None:
    assert "retained" in checked(an_alert("a-1"), retained=True)
    assert "topic" in checked(an_alert("a-1"), topic_id="a-2")


def test_a_deployment_of_another_device_or_one_that_has_ended_gives_no_case() -> None:
    foreign = PublishedDeployment(**{**fields(DEPLOYMENT), "devices": frozenset({"cam-2"})})
    over = PublishedDeployment(**{**fields(DEPLOYMENT), "ended_at": wall(NOON - timedelta(hours=1))})
    assert "not published to this device" in checked(an_alert("a-1"), deployment=foreign)
    assert "after the end" in checked(an_alert("a-1"), deployment=over)


def fields(deployment: PublishedDeployment) -> dict[str, Any]:
    return {name: getattr(deployment, name) for name in PublishedDeployment.__slots__}


def test_a_device_may_send_so_many_new_alerts_and_no_more_until_time_has_passed() -> None:
    checks = AlertChecks(Mode.DEMO, lambda: {"d-1": DEPLOYMENT})

    def problem(device: str, at: WallTime) -> str:
        alert = changed(device_id=device)
        both = PublishedDeployment(**{**fields(DEPLOYMENT), "devices": frozenset({"cam-1", "cam-2"})})
        checks._published = lambda: {"d-1": both}
        return checks.problem(Place("demo", device, "alert", "a-1"), alert, at, retained=False, known=False)

    assert [problem("cam-1", NOON) for _ in range(BURST)] == [""] * BURST
    assert "new alerts at once" in problem("cam-1", NOON)
    assert problem("cam-2", NOON) == "", "another device is not held back"
    assert problem("cam-1", wall(NOON + timedelta(seconds=1 / RATE_PER_S + 0.1))) == ""


@pytest.fixture
def site(desk: Desk, opener: ProbeOpener) -> SimpleNamespace:
    """A session with checks, and `say(data, topic, retain)` of cam-1."""
    exchange = FakeExchange()
    checks = AlertChecks(Mode.DEMO, lambda: {"d-1": DEPLOYMENT})
    session = HubSession(
        FakeBroker(exchange, "hub"), "demo", Mode.DEMO, desk, opener, lambda: NOON, lambda: None, checks=checks
    )
    device = FakeBroker(exchange, "cam-1")
    device.connect(lambda *_: None, lambda _: None)

    def say(data: messages.Message, topic: str, retain: bool = False) -> None:
        payload = encode(data, event_id=uuid7(NOON), source=TOPICS.base, subject="x", at=NOON)
        device.publish(Outgoing(uuid7(NOON), topic, payload, 1, retain, None, CONTENT_TYPE))

    def start() -> None:
        loop = SimpleNamespace(is_closed=lambda: False, call_soon_threadsafe=lambda call, *a: call(*a))
        session.start(cast(asyncio.AbstractEventLoop, loop))

    return SimpleNamespace(session=session, say=say, start=start, exchange=exchange)


def shown(desk: Desk, settings: ConsoleSettings, at: WallTime = NOON, *, broker: bool = True) -> dict[str, object]:
    view = snapshot(desk, settings, now=at, operator="present", broker_online=broker, broker_text="")
    device: dict[str, object] = view["devices"][0]
    return device


def test_what_does_not_fit_is_a_fault_on_the_page(site: SimpleNamespace, desk: Desk, settings: ConsoleSettings) -> None:
    site.start()
    for _ in range(2):
        site.say(changed(deployment_id="d-9"), TOPICS.alert("a-1"))
    assert desk.cases == {}
    assert shown(desk, settings)["faults"] == [
        {"problem": "an alert of a deployment that this hub has not published", "count": 2}
    ]
    site.say(an_alert("a-1"), TOPICS.alert("a-1"))
    assert list(desk.cases) == ["a-1"]


def recognising() -> messages.DeviceState:
    lamps = messages.LampReading(
        sign_driven=True, sign_sensed=True, power=True, recognising=True, alert=False, fault=False, simulated=False
    )
    return messages.DeviceState(
        mode=Mode.DEMO, state="recognising", since=rfc3339(NOON), inhibit_reasons=[], lamps=lamps
    )


def online() -> messages.Status:
    return messages.Status(mode=None, status="online", boot_id="b", bd_seq=1)


def test_a_device_without_messages_is_shown_as_unknown(
    site: SimpleNamespace, desk: Desk, settings: ConsoleSettings
) -> None:
    site.start()
    site.say(online(), TOPICS.status, retain=True)
    site.say(recognising(), TOPICS.state, retain=True)
    alive = shown(desk, settings, wall(NOON + timedelta(seconds=UNKNOWN_AFTER_S)))
    assert (alive["unknown"], alive["state"]) == (None, "recognising")
    silent = shown(desk, settings, wall(NOON + timedelta(seconds=UNKNOWN_AFTER_S + 1)))
    assert silent["unknown"] == "it has sent nothing for 16 s"
    assert (silent["status"], silent["state"], silent["lamps"], silent["conditions"]) == ("unknown", None, None, [])


def test_no_rate_is_shown_of_a_device_that_is_unknown_and_a_clock_set_back_keeps_none_alive(
    site: SimpleNamespace, desk: Desk, settings: ConsoleSettings
) -> None:
    site.start()
    site.say(online(), TOPICS.status, retain=True)
    site.say(recognising(), TOPICS.state, retain=True)
    site.say(
        alert_builder.stats_from(Counters(), mode=Mode.DEMO, boot_id="b", fps=25.0, at=NOON, deployment_id=None),
        TOPICS.stats,
    )
    assert shown(desk, settings)["fps"] == 25.0
    assert shown(desk, settings, wall(NOON + timedelta(seconds=UNKNOWN_AFTER_S + 1)))["fps"] is None
    before = shown(desk, settings, wall(NOON - timedelta(hours=1)))
    assert before["unknown"] == "this hub's clock was set back after its last message"
    assert (before["state"], before["lamps"], before["fps"]) == (None, None, None)


def test_over_a_dead_broker_every_device_is_unknown(
    site: SimpleNamespace, desk: Desk, settings: ConsoleSettings
) -> None:
    site.start()
    site.say(online(), TOPICS.status, retain=True)
    site.say(recognising(), TOPICS.state, retain=True)
    dead = shown(desk, settings, broker=False)
    assert dead["unknown"] == "the hub has no connection to its broker"
    assert (dead["state"], dead["lamps"]) == (None, None)


def test_what_the_broker_kept_from_before_is_no_sign_of_life(
    site: SimpleNamespace, desk: Desk, settings: ConsoleSettings
) -> None:
    site.say(online(), TOPICS.status, retain=True)
    site.say(recognising(), TOPICS.state, retain=True)
    site.start()
    assert shown(desk, settings)["unknown"] == "it has not reported to this hub yet"
    site.say(recognising(), TOPICS.state, retain=True)
    assert shown(desk, settings)["unknown"] is None


def test_one_device_pushes_nobody_elses_alerts_off_the_desk(desk: Desk, say_as: Callable[[str, Alert], None]) -> None:
    say_as("cam-2", an_alert("other"))
    for n in range(MAX_CASES):
        say_as("cam-1", an_alert(f"a-{n}"))
    assert "other" in desk.cases
    assert sum(case.device == "cam-1" for case in desk.cases.values()) == MAX_CASES // 2


@pytest.fixture
def say_as(desk: Desk) -> Callable[[str, Alert], None]:
    """A device puts an alert on the desk."""
    from device.hub_api.events import decode

    def saying(device: str, alert: Alert) -> None:
        source = DeviceTopics("demo", device).base
        payload = encode(alert, event_id=uuid7(NOON), source=source, subject="x", at=NOON)
        desk.take(Place("demo", device, "alert", alert.alert_id), decode(payload), NOON)

    return saying


def test_the_broker_takes_the_client_id_from_the_certificate(tmp_path: Path) -> None:
    text = configuration(tmp_path, bind="127.0.0.1", port=8883, root=False)
    assert "use_username_as_clientid true" in text.splitlines()
