"""What a hostile device can do with its own certificate at a real mosquitto: nothing beyond its own alerts."""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from device.domain.finding import Mode
from device.edges.broker.paho import PahoBroker
from tests.broker_vans import BASE, MosquittoVan, Watched, message
from tools.hub.broker.own_broker import OwnBroker
from tools.hub.broker.retained_quota import MOST_BYTES, MOST_TOPICS, RetainedMonitor
from tools.hub.site import init_hub
from tools.hub.storage.folder import HubFolder


@pytest.fixture
def hub(tmp_path: Path) -> HubFolder:
    init_hub(tmp_path / "hub", site="demo", devices=("cam-1", "cam-2"), mode=Mode.TEST)
    return HubFolder(tmp_path / "hub")


@pytest.fixture
def van(hub: HubFolder) -> Iterator[MosquittoVan]:
    made = MosquittoVan(hub)
    yield made
    made.close()


def test_a_device_receives_judgements_of_its_own_alerts_and_no_others(van: MosquittoVan) -> None:
    hostile = van.session("cam-2").subscribe("#").subscribe(f"{BASE}/hub/cam-1/alert/+/+").connect().online()
    device = van.session("cam-1").subscribe(f"{BASE}/hub/cam-1/alert/+/+").connect().online()
    hub = van.session("hub").connect().online()
    for n, kind in enumerate(("adjudication", "engagement", "disposition")):
        hub.broker.publish(message(f"t-{n}", f"{BASE}/hub/cam-1/alert/a-1/{kind}"))
    hub.broker.publish(message("t-9", f"{BASE}/hub/cam-2/alert/a-2/adjudication"))
    device.until(lambda: len(device.messages) == 3)
    hostile.until(lambda: bool(hostile.messages))
    assert {topic for topic, _ in hostile.messages} == {f"{BASE}/hub/cam-2/alert/a-2/adjudication"}


def test_a_device_writes_no_judgement_no_command_no_alert_of_another_and_no_branch_of_its_own_making(
    van: MosquittoVan,
) -> None:
    hub = van.session("hub").subscribe("lfr/v1/#").connect().online()
    hostile = van.session("cam-2").connect().online()
    forbidden = (
        f"{BASE}/hub/state",
        f"{BASE}/hub/cam-2/alert/a-1/adjudication",
        f"{BASE}/hub/cam-1/alert/a-1/adjudication",
        f"{BASE}/cam-1/alert/a-1",
        f"{BASE}/cam-1/cmd/stop",
        f"{BASE}/cam-1/cmd/stop/reply",
        f"{BASE}/cam-2/cmd/stop",
        f"{BASE}/cam-2/store/anything",
        f"{BASE}/cam-2/alert/a-1/probe/more",
        "lfr/v1/elsewhere/cam-2/state",
    )
    for n, topic in enumerate(forbidden):
        hostile.broker.publish(message(f"t-{n}", topic))
    hostile.until(lambda: len(hostile.deliveries) == len(forbidden))
    assert [d.token for d in hostile.deliveries if d.accepted] == []
    assert hub.messages == []


def test_the_broker_of_a_new_site_speaks_tls_1_3_alone(hub: HubFolder, van: MosquittoVan) -> None:
    assert "tls_version tlsv1.3" in (hub.root / "mosquitto.conf").read_text()
    old: Any = PahoBroker(hub.address("cam-1", van.running.port), "cam-1")
    old._tls.maximum_version = ssl.TLSVersion.TLSv1_2
    old._tls_now = lambda: old._tls
    device = Watched(old).connect()
    device.until(lambda: bool(device.sessions))
    old.close()
    assert not any(up for up, _ in device.sessions)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("pieces", "size"), [(MOST_TOPICS + 4, 10), (4, MOST_BYTES // 3)], ids=["many topics", "many bytes"]
)
def test_a_device_that_has_the_broker_keep_too_much_is_cut_off_and_the_others_go_on(
    hub: HubFolder, pieces: int, size: int
) -> None:
    own = OwnBroker(hub, 0)
    over: list[str] = []
    address = hub.address("monitor", own.port)
    monitor = RetainedMonitor(PahoBroker(address, "monitor", retain_as_published=True), "demo", over.append)
    hostile = Watched(PahoBroker(hub.address("cam-2", own.port), "cam-2"))
    honest = Watched(PahoBroker(hub.address("cam-1", own.port), "cam-1"))
    listener = Watched(PahoBroker(hub.address("listener", own.port), "listener"))
    try:
        monitor.start()
        hostile.connect().online()
        honest.connect().online()
        time.sleep(0.5)
        honest.broker.publish(message("ok", f"{BASE}/cam-1/state", b"x" * 20_000, retain=True))
        for n in range(pieces):
            sent = message(f"t-{n}", f"{BASE}/cam-2/alert/a-{n}", b"x" * size, retain=True, expiry_s=None)
            while not hostile.broker.publish(sent):
                time.sleep(0.01)
        deadline = time.monotonic() + 60
        while not over and time.monotonic() < deadline:
            time.sleep(0.05)
        assert over == ["cam-2"]
        own.cut_off("cam-2")
        hostile.until(lambda: len(hostile.sessions) >= 3 and hostile.sessions[-1][0])
        honest.until(lambda: len(honest.sessions) >= 3 and honest.sessions[-1][0])
        listener.subscribe(f"{BASE}/#").connect().online()
        before = len(hostile.deliveries)
        hostile.broker.publish(message("again", f"{BASE}/cam-2/state", b"x", retain=True))
        hostile.until(lambda: len(hostile.deliveries) > before)
        assert not hostile.deliveries[-1].accepted
        honest.broker.publish(message("again", f"{BASE}/cam-1/state", b"y", retain=True))
        listener.until(lambda: bool(listener.messages))
        assert listener.messages == [(f"{BASE}/cam-1/state", b"y")], "what it retained is gone, and nothing new came"
    finally:
        monitor.close()
        for watched in (hostile, honest, listener):
            watched.broker.close()
        own.stop()


def test_a_device_that_is_added_while_the_broker_runs_is_let_in_at_once_and_nobody_loses_a_session(
    hub: HubFolder,
) -> None:
    own = OwnBroker(hub, 0)
    listener = Watched(PahoBroker(hub.address("listener", own.port), "listener"))
    try:
        listener.subscribe(f"{BASE}/#").connect().online()
        init_hub(hub.root, site="demo", devices=("cam-3",), mode=None)
        own.devices_added()
        added = Watched(PahoBroker(hub.address("cam-3", own.port), "cam-3")).connect().online()
        deadline = time.monotonic() + 60
        while not listener.messages and time.monotonic() < deadline:
            added.broker.publish(message("t", f"{BASE}/cam-3/state", b"here"))
            time.sleep(0.2)
        added.broker.close()
        assert listener.messages[0] == (f"{BASE}/cam-3/state", b"here")
        assert [up for up, _ in listener.sessions] == [True]
    finally:
        listener.broker.close()
        own.stop()
