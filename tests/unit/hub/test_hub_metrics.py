"""What Prometheus gets of a hub: everything that it should know, nothing of a person, nothing that is not known."""

from __future__ import annotations

import asyncio
import http.client
import json
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from device.domain.finding import Counters, Mode
from device.domain.time import rfc3339, wall
from device.errors import Unavailable, UsageError
from device.hub_api import alert_builder, messages
from tests.sample_alerts import a_candidate, a_context, an_alert
from tests.unit.hub.test_hub_references import DEPLOYMENT, Van, now
from tools.dev.gate.stages import ROOT
from tools.hub.console.case import UNKNOWN_AFTER_S
from tools.hub.monitoring.endpoint import listen, place, show
from tools.hub.monitoring.exporter import CONDITIONS, LABELS, MOST_NAMED, RECENT, HubCollector

MONITORING = ROOT / "tools" / "hub" / "monitoring"
CONDITION = "sign follows its pulse"
SECRETS = ("a-secret-alert", "e-secret", "OP-7", "Person", "front-of-alert", "zone-secret", "gate")


def collector(van: Van) -> HubCollector:
    return HubCollector(van.console, "demo", "demo")


def text(van: Van) -> str:
    registry = CollectorRegistry()
    registry.register(collector(van))
    return generate_latest(registry).decode()


def values(van: Van) -> dict[tuple[str, tuple[str, ...]], float]:
    """Sample name and its labels' values, in the order of the labels' names, to its value."""
    families = text_string_to_metric_families(text(van))
    return {(s.name, tuple(s.labels.values())): s.value for family in families for s in family.samples}


def health(**changes: Any) -> messages.Health:
    fields: dict[str, Any] = {
        "fps": 25.0,
        "temperature_c": {"cpu": 51.5},
        "outbox_waiting": 3,
        "clock": messages.ClockReading(synced=True),
    }
    return messages.Health(mode=Mode.DEMO, at=rfc3339(now()), **{**fields, **changes})


def state(condition: str = CONDITION, **changes: Any) -> messages.DeviceState:
    row = messages.ConditionReading(name=condition, table="run", result="fails", text="dark")
    lamps = messages.LampReading(
        sign_driven=True, sign_sensed=True, power=True, recognising=True, alert=False, fault=False, simulated=False
    )
    fields: dict[str, Any] = {"state": "recognising", "conditions": [row], "lamps": lamps, "inhibit_reasons": []}
    return messages.DeviceState(mode=Mode.DEMO, since=rfc3339(now()), deployment_id=DEPLOYMENT, **{**fields, **changes})


def alert(alert_id: str) -> messages.Alert:
    context = a_context(now(), deployment_id=DEPLOYMENT, zone_id="zone-secret", delete_by=now(hours=24))
    return an_alert(alert_id, a_candidate(entry_ref="e-secret"), context, now())


def busy_van(root: Path) -> Van:
    """cam-1 recognises, has seen 2,000 faces and sent three alerts, one false; cam-2 has not reported yet."""
    found = Van(root)
    found.console.session.online = True
    found.receives("cam-1", messages.Status(mode=None, status="online", boot_id="b-1", bd_seq=1))
    found.receives("cam-1", state())
    found.receives("cam-1", health())
    counters = Counters(faces_seen=2000)
    found.receives(
        "cam-1",
        alert_builder.stats_from(counters, mode=Mode.DEMO, boot_id="b-1", fps=25.0, at=now(), deployment_id=DEPLOYMENT),
    )
    found.receives(
        "cam-1",
        messages.CameraStatus(mode=Mode.DEMO, camera_id="front", status="online", since=rfc3339(now())),
    )
    for name in ("a-secret-alert", "a-2", "a-3"):
        found.receives("cam-1", alert(name))
    found.desk.judge("a-2", "false_alert")
    found.desk.judge("a-3", "true_alert")
    return found


@pytest.fixture
def van(tmp_path: Path) -> Van:
    return busy_van(tmp_path / "hub")


def test_devices_conditions_queue_alerts_rate_temperature_broker_and_outbox_are_there(van: Van) -> None:
    arrived = van.desk.cases["a-secret-alert"].arrived
    van.desk.cases["a-secret-alert"].arrived = wall(arrived - timedelta(seconds=90))
    found = values(van)
    expected: dict[tuple[str, tuple[str, ...]], float] = {
        ("lfr_hub_broker_connected", ()): 1,
        ("lfr_hub_operator", ("absent",)): 1,
        ("lfr_hub_open_cases", ()): 1,
        ("lfr_device_known", ("cam-1",)): 1,
        ("lfr_device_known", ("cam-2",)): 0,
        ("lfr_device_state", ("cam-1", "recognising")): 1,
        ("lfr_device_state", ("cam-1", "inhibited")): 0,
        ("lfr_device_state", ("cam-2", "unknown")): 1,
        ("lfr_device_condition_holds", (CONDITION, "cam-1", "run")): 0,
        ("lfr_device_temperature_celsius", ("cam-1", "cpu")): 51.5,
        ("lfr_device_outbox_messages", ("cam-1",)): 3,
        ("lfr_device_sign_sensed_lit", ("cam-1",)): 1,
        ("lfr_device_camera_online", ("front", "cam-1")): 1,
        ("lfr_faces_seen_total", (DEPLOYMENT,)): 2000,
        ("lfr_alerts_received_total", (DEPLOYMENT,)): 3,
        ("lfr_alerts", (DEPLOYMENT, "open")): 1,
        ("lfr_alerts", (DEPLOYMENT, "false_alert")): 1,
        ("lfr_alerts", (DEPLOYMENT, "true_alert")): 1,
        ("lfr_false_alert_ratio", (DEPLOYMENT,)): 1 / 2000,
    }
    assert {key: found.get(key) for key in expected} == expected
    assert 90 <= found["lfr_hub_oldest_open_case_seconds", ()] < 100
    assert 0 <= found["lfr_device_last_message_seconds", ("cam-1",)] < 10
    assert ("lfr_device_last_message_seconds", ("cam-2",)) not in found


def test_no_person_entry_alert_zone_or_officer_is_in_it(van: Van) -> None:
    shown = text(van)
    assert [secret for secret in SECRETS if secret in shown] == []
    labels = {label for family in text_string_to_metric_families(shown) for s in family.samples for label in s.labels}
    assert labels - LABELS == set()


@pytest.mark.parametrize("why", ["silent", "no broker", "will"])
def test_of_a_device_whose_state_is_not_known_only_age_and_counts_are_left(van: Van, why: str) -> None:
    view = van.desk.devices["cam-1"]
    if why == "silent":
        view.heard_at = now(seconds=-UNKNOWN_AFTER_S - 1)
    elif why == "no broker":
        van.console.session.online = False
    else:
        view.status = messages.Status(mode=None, status="offline", boot_id="b-1", bd_seq=1)
    found = values(van)
    of_it = {name for name, labels in found if "cam-1" in labels}
    assert of_it == {
        "lfr_device_known",
        "lfr_device_last_message_seconds",
        "lfr_device_state",
        "lfr_device_status",
        "lfr_device_refused_messages_total",
    }
    assert (found["lfr_device_known", ("cam-1",)], found["lfr_device_state", ("cam-1", "unknown")]) == (0, 1)
    assert found["lfr_device_state", ("cam-1", "recognising")] == 0
    assert found["lfr_faces_seen_total", (DEPLOYMENT,)] == 2000


def test_names_that_a_device_invents_are_few_and_plain(van: Van) -> None:
    sensors = {f"s{i:04d}": 1.0 for i in range(500)} | {'cpu"} 1\nlfr_hub_open_cases 9': 1.0}
    van.receives("cam-1", health(temperature_c=sensors))
    van.receives("cam-1", state("a name that is no condition"))
    for i in range(40):
        van.tallies.of(f"d-{i:04d}").last_at = f"2026-01-01T00:00:{i:02d}.000Z"
    found = values(van)
    assert sum(name == "lfr_device_temperature_celsius" for name, _ in found) == MOST_NAMED
    assert not any(name == "lfr_device_condition_holds" for name, _ in found)
    assert sum(name == "lfr_faces_seen_total" for name, _ in found) == RECENT
    assert found["lfr_hub_open_cases", ()] == 1
    assert CONDITION in CONDITIONS


@pytest.mark.parametrize("text", ["0.0.0.0:9464", "van-7.local:9464", "127.0.0.1", "127.0.0.1:x", "[::1]:1", ":1"])
def test_it_listens_on_the_loopback_alone(text: str) -> None:
    with pytest.raises(UsageError, match="no login"):
        place(text)


def test_it_answers_over_http_to_its_own_names_only(van: Van) -> None:
    def asked(port: int, host: str) -> tuple[int, str]:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=300)
        connection.request("GET", "/metrics", headers={"Host": host})
        answer = connection.getresponse()
        return answer.status, answer.read().decode()

    async def scene() -> list[tuple[int, str]]:
        listening = listen("127.0.0.1:0")
        port = listening.getsockname()[1]
        with pytest.raises(Unavailable, match="choose another with --metrics"):
            listen(f"127.0.0.1:{port}")
        task = asyncio.ensure_future(show(collector(van), listening))
        found = [await asyncio.to_thread(asked, port, host) for host in (f"localhost:{port}", "elsewhere.example")]
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return found

    (status, shown), (refused, _) = asyncio.run(scene())
    assert (status, refused) == (200, 400)
    assert re.search(r"^lfr_hub_open_cases 1\.0$", shown, re.M)


def exported(van: Van) -> set[str]:
    return {line.split()[2] for line in text(van).splitlines() if line.startswith("# TYPE ")}


def named_in(file: Path) -> set[str]:
    return set(re.findall(r"\blfr_[a-z_]+", file.read_text()))


@pytest.mark.parametrize("file", ["grafana/lfr-hub.json", "prometheus/lfr-hub.rules.yaml"])
def test_every_metric_that_dashboard_and_rules_name_is_exported_even_by_an_empty_hub(tmp_path: Path, file: str) -> None:
    named = named_in(MONITORING / file)
    assert len(named) > 10
    assert named - exported(Van(tmp_path / "hub")) == set()


def test_the_dashboard_has_a_panel_for_each_thing_and_no_panel_twice() -> None:
    panels = json.loads((MONITORING / "grafana/lfr-hub.json").read_text())["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels) == len({panel["title"] for panel in panels})
    places = {(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels}
    assert len(places) == len(panels)
    assert all(target["expr"] for panel in panels for target in panel["targets"])
