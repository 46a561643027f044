"""Metrics, rules and dashboard as Prometheus' own tool reads them, and a hub that is really served.

promtool comes from Debian's `prometheus`, unpacked under the cache: its service is never installed.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import yaml

from device.domain.finding import Mode
from engines.places import cache_dir
from tests.unit.hub.test_hub_metrics import MONITORING, busy_van, collector, text
from tests.unit.hub.test_hub_references import now
from tools.dev.gate.system_packages import PROMTOOL, find, provide_unpacked
from tools.hub.broker.mosquitto import free_port
from tools.hub.monitoring.endpoint import listen, show
from tools.hub.site import init_hub

pytestmark = pytest.mark.system
RULES = MONITORING / "prometheus" / "lfr-hub.rules.yaml"
HUB, CAM, DEPLOYMENT = 'instance="van-7"', 'instance="van-7", device="cam-1"', 'instance="van-7", deployment="d-1"'
CONDITION = f'lfr_device_condition_holds{{{CAM}, table="run", condition="sign follows its pulse"}}'
STATE = "lfr_device_state{%s, state=%s}"
IN_ORDER = {
    f'up{{job="lfr-hub", {HUB}}}': "1x40",
    f"lfr_hub_broker_connected{{{HUB}}}": "1x40",
    f"lfr_device_known{{{CAM}}}": "1x40",
    f'lfr_device_known{{{HUB}, device="never-on"}}': "0x40",
    f"lfr_device_sign_sensed_lit{{{CAM}}}": "1x40",
    STATE % (CAM, '"recognising"'): "1x40",
    STATE % (CAM, '"inhibited"'): "0x40",
    CONDITION: "1x40",
    f'lfr_device_camera_online{{{CAM}, camera="front"}}': "1x40",
    f"lfr_device_clock_synced{{{CAM}}}": "1x40",
    f"lfr_hub_oldest_open_case_seconds{{{HUB}}}": "0+10x4 0x35",
    f"lfr_false_alert_ratio{{{DEPLOYMENT}}}": "0.0005x40",
    f"lfr_faces_seen_total{{{DEPLOYMENT}}}": "4000+10x40",
    f"lfr_alerts_left_unjudged_total{{{DEPLOYMENT}}}": "0x40",
    f"lfr_hub_unsettled_judgements{{{HUB}}}": "0 1 0x38",
    f"lfr_device_outbox_messages{{{CAM}}}": "4x40",
    f"lfr_faces_lost_total{{{DEPLOYMENT}}}": "2x40",
    f'lfr_device_temperature_celsius{{{CAM}, sensor="cpu"}}': "70x40",
    f"lfr_device_throttled{{{CAM}}}": "0x40",
    f"lfr_device_refused_messages_total{{{CAM}}}": "1x40",
    f"lfr_hub_disk_refuses{{{HUB}}}": "0x40",
    f"lfr_hub_failing_steps{{{HUB}}}": "0x40",
    f"lfr_hub_certificate_warnings{{{HUB}}}": "0x40",
}
"""Series of a van in order, every 5 s for 200 s, in promtool's notation."""
FAULTS: dict[str, dict[str, str]] = {
    "LfrHubDown": {"up": "0x40"},
    "LfrBrokerLost": {"lfr_hub_broker_connected": "0x40"},
    "LfrDeviceSilent": {"lfr_device_known": "1x20 0x20"},
    "LfrSignDarkWhileRecognising": {"lfr_device_sign_sensed_lit": "0x40"},
    "LfrConditionFails": {CONDITION: "0x40", 'state="recognising"': "0x40", 'state="inhibited"': "1x40"},
    "LfrCameraNotOnline": {"lfr_device_camera_online": "0x40"},
    "LfrClockNotTrusted": {"lfr_device_clock_synced": "0x40"},
    "LfrPossibleMatchWaits": {"lfr_hub_oldest_open_case_seconds": "0+10x40"},
    "LfrFalseAlertRateHigh": {"lfr_false_alert_ratio": "0.002x40"},
    "LfrLeftUnjudged": {"lfr_alerts_left_unjudged_total": "0x20 1x20"},
    "LfrJudgementNotDelivered": {"lfr_hub_unsettled_judgements": "1x40"},
    "LfrOutboxGrows": {"lfr_device_outbox_messages": "0+50x40"},
    "LfrFacesLost": {"lfr_faces_lost_total": "2x20 3x20"},
    "LfrDeviceHot": {"lfr_device_temperature_celsius": "90x40"},
    "LfrMessagesRefused": {"lfr_device_refused_messages_total": "1x20 2x20"},
    "LfrHubDiskRefuses": {"lfr_hub_disk_refuses": "1x40"},
    "LfrHubStepFails": {"lfr_hub_failing_steps": "1x40"},
    "LfrCertificateEnds": {"lfr_hub_certificate_warnings": "2x40"},
}
"""Alert to what is otherwise then: part of a series' name to its values."""


@pytest.fixture(scope="module")
def promtool() -> Path:
    if find(PROMTOOL, cache_dir()) is None and shutil.which("apt-get") is None:
        pytest.skip("needs promtool, or a Debian or an Ubuntu with a package source")
    return provide_unpacked(PROMTOOL, cache_dir())


def passes(promtool: Path, *arguments: str, given: str = "") -> str:
    """What a check of promtool printed; the test fails with it when the check does."""
    done = subprocess.run([promtool, *arguments], input=given, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_its_service_is_nowhere(promtool: Path) -> None:
    places = ("/lib/systemd/system", "/etc/systemd/system", "/etc/systemd/system/multi-user.target.wants")
    assert [place for place in places if Path(place, "prometheus.service").exists()] == []


def test_rules_and_configuration_are_valid(promtool: Path) -> None:
    assert f"{len(rules())} rules found" in passes(promtool, "check", "rules", str(RULES))
    passes(promtool, "check", "config", str(RULES.with_name("prometheus.yaml")))


def test_metrics_of_a_busy_hub_are_as_prometheus_wants_them(promtool: Path, tmp_path: Path) -> None:
    assert passes(promtool, "check", "metrics", given=text(busy_van(tmp_path / "hub"))) == ""


def test_a_served_hub_shows_them_and_answers_nowhere_else(promtool: Path, tmp_path: Path) -> None:
    init_hub(tmp_path / "van", site="demo", devices=("cam-1",), mode=Mode.DEMO)
    command = [sys.executable, "-m", "device.cli.main", "hub", "serve", str(tmp_path / "van")]
    ports = ["--port", "0", "--broker-port", "0", "--repository-port", "0", "--metrics", "127.0.0.1:0"]
    serve = subprocess.Popen([*command, *ports], stdout=subprocess.PIPE, text=True)
    try:
        assert serve.stdout is not None
        port = json.loads(serve.stdout.readline())["metrics_port"]
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        connection.request("GET", "/metrics")
        shown = connection.getresponse().read().decode()
        serve.send_signal(signal.SIGTERM)
        assert serve.wait(60) == 0
    finally:
        serve.kill()
    assert passes(promtool, "check", "metrics", given=shown) == ""
    assert 'lfr_device_known{device="cam-1"} 0.0' in shown


class Prometheus:
    """The real program, unpacked beside promtool, that asks one endpoint every second into a folder of its own."""

    def __init__(self, promtool: Path, folder: Path, target: int) -> None:
        self._port = free_port()
        job = {"job_name": "lfr-hub", "static_configs": [{"targets": [f"127.0.0.1:{target}"]}]}
        config = {"global": {"scrape_interval": "1s", "evaluation_interval": "1s"}, "rule_files": [str(RULES)]}
        (folder / "prometheus.yaml").write_text(yaml.safe_dump({**config, "scrape_configs": [job]}))
        program = shutil.which("prometheus") or str(promtool.parents[1] / "usr" / "bin" / "prometheus")
        places = [f"--config.file={folder / 'prometheus.yaml'}", f"--storage.tsdb.path={folder / 'data'}"]
        address = f"--web.listen-address=127.0.0.1:{self._port}"
        with (folder / "log").open("w") as log:
            self._process = subprocess.Popen([program, *places, address], stdout=log, stderr=log)

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()

    def ask(self, query: str) -> list[Any]:
        """Series of an expression now; empty while it does not answer yet."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        try:
            connection.request("GET", f"/api/v1/query?{urlencode({'query': query})}")
            answer = connection.getresponse()
            content = answer.read()
        except OSError:
            return []
        assert answer.status in (200, 503), (query, content)
        found: list[Any] = json.loads(content)["data"]["result"] if answer.status == 200 else []
        return found


def test_every_query_of_the_dashboard_draws_something_in_a_real_prometheus(
    promtool: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Grafana itself is in no package source here; what it asks is asked of Prometheus, its variables filled in."""
    van = busy_van(tmp_path / "hub")
    at = now()
    monkeypatch.setattr(
        "tools.hub.monitoring.exporter.wall_now", lambda: at
    )  # the van reports as long as this test needs
    listening = listen("127.0.0.1:0")
    loop = asyncio.new_event_loop()
    showing = loop.create_task(show(collector(van), listening))
    serving = threading.Thread(target=lambda: loop.run_until_complete(asyncio.wait([showing])))
    serving.start()
    prometheus = Prometheus(promtool, tmp_path, listening.getsockname()[1])
    dashboard = json.loads((MONITORING / "grafana" / "lfr-hub.json").read_text())
    queries = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    assert len(queries) > 20
    instances = re.match(r"label_values\((\w+), (\w+)\)", dashboard["templating"]["list"][1]["query"]["query"])
    assert instances is not None
    try:
        until(lambda: prometheus.ask(instances[1]), "a first answer of the hub in Prometheus")
        (info,) = prometheus.ask(instances[1])
        hub = info["metric"][instances[2]]
        for query in queries:
            assert "$" not in query.replace("$hub", ""), query
            for chosen in (re.escape(hub), ".+"):  # one hub, and Grafana's "All"
                asked = query.replace("$hub", chosen.replace("\\", "\\\\"))
                until(partial(prometheus.ask, asked), f"a series of {asked}")
    finally:
        prometheus.stop()
        loop.call_soon_threadsafe(showing.cancel)
        serving.join()
        loop.close()
        listening.close()


def until(condition: Callable[[], object], what: str) -> None:
    """Poll; AssertionError after a time that only bounds hanging."""
    deadline = time.monotonic() + 120.0
    while not condition():
        assert time.monotonic() < deadline, f"never: {what}"
        time.sleep(0.2)


def rules() -> list[dict[str, Any]]:
    (group,) = yaml.safe_load(RULES.read_text())["groups"]
    found: list[dict[str, Any]] = group["rules"]
    return found


def series(changes: dict[str, str]) -> list[dict[str, str]]:
    """The series of a van in order, with some values otherwise; a device that was never on stays so."""
    found = []
    for name, values in IN_ORDER.items():
        changed = [v for part, v in changes.items() if part in name and "never-on" not in name]
        found.append({"series": name, "values": changed[0] if changed else values})
    return found


def expected(rule: dict[str, Any]) -> dict[str, Any]:
    """The one alert that a rule raises: with the labels of the first series of its expression."""
    metric = re.findall(r"\w+", rule["expr"].replace("increase", ""))[0]
    name = next(name for name in IN_ORDER if name.startswith(metric + "{"))
    labels = dict(re.findall(r'(\w+)="([^"]*)"', name))
    texts = {
        key: re.sub(r"{{ \$labels\.(\w+) }}", lambda m: labels[m[1]], text).replace("{{ $value }}", "1950")
        for key, text in rule["annotations"].items()
    }
    return {"exp_labels": {**labels, **rule["labels"]}, "exp_annotations": texts}


def test_a_van_in_order_raises_nothing_and_each_fault_its_own_alert_and_no_other(
    promtool: Path, tmp_path: Path
) -> None:
    assert {rule["alert"] for rule in rules()} == set(FAULTS)
    cases = []
    orderly: dict[str, dict[str, str]] = {"in order": {}}
    for fault, changes in (orderly | FAULTS).items():
        tests = []
        for rule in rules():
            raised = [expected(rule)] if rule["alert"] == fault else []
            tests.append({"eval_time": "195s", "alertname": rule["alert"], "exp_alerts": raised})
        cases.append({"name": fault, "interval": "5s", "input_series": series(changes), "alert_rule_test": tests})
    whole = {"rule_files": [str(RULES)], "evaluation_interval": "5s", "tests": cases}
    (tmp_path / "test.yaml").write_text(yaml.safe_dump(whole, sort_keys=False))
    assert "SUCCESS" in passes(promtool, "test", "rules", str(tmp_path / "test.yaml"))
