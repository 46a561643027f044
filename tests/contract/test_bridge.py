"""`lfr hub bridge` between two real mosquitto brokers: counts and states cross, no alert does, nothing returns."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
import yaml

from device.cli.main import main
from device.domain.finding import Counters, Mode
from device.domain.time import rfc3339
from device.edges.broker.paho import PahoBroker
from device.hub_api import alert_builder, messages
from device.hub_api.events import decode, encode
from device.hub_api.topics import DeviceTopics, HubTopics
from tests.broker_vans import BASE, MosquittoVan, Watched, message
from tests.contract.test_messages import audit_head
from tests.sample_alerts import NOON, an_alert
from tools.hub.broker.mosquitto import find_mosquitto, free_port
from tools.hub.site import init_hub
from tools.hub.storage.folder import HubFolder

TOPICS, HUB = DeviceTopics("demo", "cam-1"), HubTopics("demo")
ALERT = "0192f0c1-alert"
PROBE = b"age-encryption.org/v1 a probe"
CLUSTER = """listener {port} 127.0.0.1
cafile {root}/ca.pem
certfile {root}/server.pem
keyfile {root}/server.key
require_certificate true
use_identity_as_username true
allow_anonymous false
user root
log_dest stderr
"""


@pytest.fixture
def region(tmp_path: Path) -> Iterator[tuple[HubFolder, int]]:
    """A broker of somebody else, with an authority of its own, on which every certificate may do everything."""
    init_hub(tmp_path / "region", site="region", devices=("van-7",), mode=Mode.TEST)
    hub, port = HubFolder(tmp_path / "region"), free_port()
    file = tmp_path / "region.conf"
    file.write_text(CLUSTER.format(port=port, root=hub.root))
    found = find_mosquitto()
    process = subprocess.Popen([found.path, "-c", file], env=found.environment or None, stderr=subprocess.DEVNULL)
    yield hub, port
    process.terminate()
    process.wait(60)


@pytest.fixture
def van(tmp_path: Path) -> Iterator[MosquittoVan]:
    root, port = tmp_path / "van", free_port()
    init_hub(root, site="demo", devices=("cam-1",), mode=Mode.TEST)
    content = yaml.safe_load((root / "console.yaml").read_text())
    (root / "console.yaml").write_text(yaml.safe_dump({**content, "broker_port": port}))
    made = MosquittoVan(HubFolder(root), port)
    yield made
    made.close()


def written(van: MosquittoVan, region: tuple[HubFolder, int], *more: str) -> Path:
    """The bridge's configuration, as the command writes it."""
    hub, port = region
    options = ["--to", f"127.0.0.1:{port}", "--ca", str(hub.root / "ca.pem")]
    options += ["--cert", str(hub.root / "devices" / "van-7.pem"), "--key", str(hub.root / "devices" / "van-7.key")]
    assert main(["hub", "bridge", str(van.hub.root), *options, *more]) == 0
    return van.hub.root / "bridge" / "mosquitto.conf"


@pytest.fixture
def bridge(van: MosquittoVan, region: tuple[HubFolder, int]) -> Iterator[None]:
    """The bridge runs, under the prefix `region-2/lfr`."""
    found = find_mosquitto()
    command = [str(found.path), "-c", str(written(van, region, "--prefix", "region-2/lfr"))]
    process = subprocess.Popen(command, env=found.environment or None, stderr=subprocess.DEVNULL)
    yield
    process.terminate()
    process.wait(60)


def in_region(region: tuple[HubFolder, int], name: str) -> Watched:
    hub, port = region
    return Watched(PahoBroker(hub.address(name, port), name)).subscribe("#").connect().online()


def send(session: Watched, topic: str, data: messages.Message, *, retain: bool = False) -> None:
    payload = encode(data, event_id=f"e-{time.monotonic_ns()}", source=TOPICS.base, subject="x", at=NOON)
    assert session.broker.publish(message(f"t-{time.monotonic_ns()}", topic, payload, retain=retain))


def stats(alerts: int) -> messages.Stats:
    counters = Counters(faces_seen=100 + alerts)
    made = alert_builder.stats_from(counters, mode=Mode.TEST, boot_id="b-1", fps=25.0, at=NOON, deployment_id="d-1")
    return msgspec.structs.replace(made, alerts=alerts)


def test_an_alerts_count_and_its_devices_state_cross_and_the_alert_its_probe_and_its_judgement_do_not(
    van: MosquittoVan, region: tuple[HubFolder, int], bridge: None
) -> None:
    there = in_region(region, "witness")
    here = van.session("listener").subscribe("lfr/v1/#").connect().online()
    device, hub = van.session("cam-1").connect().online(), van.session("hub").connect().online()
    state = messages.DeviceState(mode=Mode.TEST, state="recognising", since=rfc3339(NOON), inhibit_reasons=[])
    send(device, TOPICS.state, state, retain=True)
    there.until(lambda: any(topic.endswith("/cam-1/state") for topic, _ in there.messages))
    send(device, TOPICS.alert(ALERT), an_alert(ALERT))
    device.broker.publish(message("probe", TOPICS.probe(ALERT), PROBE))
    receipt = alert_builder.erasure_of("alert", count=1, alert_id=ALERT, reason="expiry", mode=Mode.TEST, at=NOON)
    send(device, TOPICS.erasure, receipt)
    judgement = messages.Adjudication(
        mode=Mode.TEST, alert_id=ALERT, outcome="true_alert", officer_ref="op-1", at=rfc3339(NOON)
    )
    send(hub, HUB.adjudication("cam-1", ALERT), judgement)
    send(device, TOPICS.audit, audit_head(), retain=True)
    send(device, TOPICS.stats, stats(alerts=1))  # the last thing sent: what crosses has crossed when it arrives
    there.until(lambda: any(topic.endswith("/stats") for topic, _ in there.messages))
    here.until(lambda: len(here.messages) >= 7)
    arrived = dict(there.messages)
    assert set(arrived) == {f"region-2/lfr/{BASE}/cam-1/{branch}" for branch in ("state", "audit", "stats")}
    counted = decode(arrived[f"region-2/lfr/{BASE}/cam-1/stats"]).data
    assert isinstance(counted, messages.Stats)
    assert (counted.alerts, counted.faces_seen) == (1, 101)
    secrets = (ALERT.encode(), b"e-042", PROBE, b"op-1")
    assert [secret for secret in secrets if any(secret in payload for _, payload in there.messages)] == []
    at_the_van = b"".join(payload for _, payload in here.messages)
    assert [secret for secret in secrets if secret not in at_the_van] == []
    there.broker.close()


def test_a_retained_state_is_retained_there_and_nothing_comes_back(
    van: MosquittoVan, region: tuple[HubFolder, int], bridge: None
) -> None:
    device = van.session("cam-1").subscribe(f"{BASE}/hub/cam-1/alert/+/+").connect().online()
    status = messages.Status(mode=None, status="online", boot_id="b-1", bd_seq=1)
    send(device, TOPICS.status, status, retain=True)
    there = in_region(region, "witness")
    there.until(lambda: len(there.messages) >= 1)
    later = in_region(region, "listener")
    later.until(lambda: len(later.messages) == 1)
    here = van.session("listener").subscribe("lfr/v1/#").connect().online()
    hostile = in_region(region, "hub")
    for n, base in enumerate((BASE, f"region-2/lfr/{BASE}")):
        for m, branch in enumerate(("hub/cam-1/alert/a-1/adjudication", "cam-1/state", "hub/state", "cam-1/cmd/stop")):
            hostile.broker.publish(message(f"h-{n}-{m}", f"{base}/{branch}", b"from the cluster"))
    hostile.until(lambda: len(hostile.deliveries) == 8)
    send(device, TOPICS.stats, stats(alerts=0))
    there.until(lambda: any(topic.endswith("/stats") for topic, _ in there.messages))
    here.until(lambda: any(topic.endswith("/stats") for topic, _ in here.messages))
    assert not any(b"from the cluster" in payload for _, payload in (*here.messages, *device.messages))
    for session in (there, later, hostile):
        session.broker.close()


def test_the_vans_broker_delivers_only_that_to_a_bridge_whose_file_asks_for_everything(van: MosquittoVan) -> None:
    greedy = van.session("bridge").subscribe("#").subscribe("lfr/v1/#").connect().online()
    device = van.session("cam-1").connect().online()
    for n, branch in enumerate(("alert/a-1", "alert/a-1/probe", "erasure", "identity", "birth", "stats", "audit")):
        device.broker.publish(message(f"t-{n}", f"{BASE}/cam-1/{branch}"))
    greedy.until(lambda: any(topic.endswith("/audit") for topic, _ in greedy.messages))
    assert {topic for topic, _ in greedy.messages} == {f"{BASE}/cam-1/stats", f"{BASE}/cam-1/audit"}
    for n, branch in enumerate(("hub/state", "cam-1/stats", "cam-1/cmd/stop", "bridge/status", "bridge/state")):
        greedy.broker.publish(message(f"w-{n}", f"{BASE}/{branch}"))
    greedy.until(lambda: len(greedy.deliveries) == 5)
    assert [d.token for d in greedy.deliveries if d.accepted] == []


def test_the_file_says_mqtt_5_tls_a_certificate_qos_1_and_one_way_each(
    van: MosquittoVan, region: tuple[HubFolder, int]
) -> None:
    text = written(van, region).read_text()
    into, out = text.split("connection van")[1].split("connection cluster")
    for part in (into, out):
        assert "bridge_protocol_version mqttv50" in part
        assert all(f"bridge_{name}file " in part for name in ("ca", "cert", "key"))
    assert {line.split()[2:4] == ["in", "1"] for line in into.splitlines() if line.startswith("topic")} == {True}
    assert {line.split()[2:4] == ["out", "1"] for line in out.splitlines() if line.startswith("topic")} == {True}


@pytest.mark.parametrize(
    ("option", "value", "status"),
    [("--to", "cluster", 64), ("--to", "a b:1", 64), ("--prefix", "a/+/b", 64), ("--key", "/nowhere/key", 69)],
)
def test_what_cannot_stand_in_it_is_refused(
    van: MosquittoVan, region: tuple[HubFolder, int], option: str, value: str, status: int
) -> None:
    file = str(region[0].root / "ca.pem")
    given = {"--to": "localhost:8883", "--ca": file, "--cert": file, "--key": file, option: value}
    arguments = [part for pair in given.items() for part in pair]
    assert main(["hub", "bridge", str(van.hub.root), *arguments]) == status
    assert not (van.hub.root / "bridge").exists()
