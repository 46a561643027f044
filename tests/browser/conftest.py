"""A van on this machine: a hub folder, `lfr hub serve` as a process, one device at the real broker."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta, timezone
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import cv2
import numpy as np
import pyrage
import pytest

from device.domain.finding import Counters, Mode
from device.domain.time import WallTime, rfc3339, wall
from device.edges.broker.paho import PahoBroker
from device.hub_api import alert_builder, messages
from device.hub_api.events import CONTENT_TYPE, PROBE_CONTENT_TYPE, decode, encode
from device.hub_api.identifiers import uuid7
from device.hub_api.topics import DeviceTopics, HubTopics
from device.ports.broker import Delivery, Outgoing
from engines.places import cache_dir
from tests.browser.chrome import Chrome
from tests.sample_alerts import a_candidate, a_context, an_alert, changed
from tools.hub.publishing.deployment_records import Record, Records
from tools.hub.site import init_hub
from tools.hub.storage.folder import Entry, HubFolder
from tools.hub.storage.probes import digest

WITHIN_S = 60.0


def portrait(shade: int, smile: int) -> bytes:
    """A synthetic face as JPEG, to check which picture is shown where."""
    picture = np.full((250, 200, 3), (shade, 200 - shade // 2, 170), np.uint8)
    cv2.ellipse(picture, (100, 130), (62, 84), 0, 0, 360, (150, 180, 220), -1)
    for x in (76, 124):
        cv2.circle(picture, (x, 112), 8, (60, 60, 60), -1)
    cv2.ellipse(picture, (100, 165), (28, smile), 0, 0, 180, (70, 70, 150), 4)
    return bytes(cv2.imencode(".jpg", picture)[1])


Table = Literal["arm", "run"]
Result = Literal["holds", "fails", "pending"]


class Device:
    """cam-1 of the test: sends what a device sends."""

    def __init__(self, hub: HubFolder, port: int) -> None:
        self.topics = DeviceTopics("demo", "cam-1")
        self.judgements: list[messages.Adjudication] = []
        self.hub_states: list[messages.HubState] = []
        self.answered: dict[str, Delivery] = {}
        self._recipient = pyrage.x25519.Recipient.from_str(
            hub.keys.recipient_for("d-1", wall(now() + timedelta(days=1)))
        )
        self._up = False
        self._broker = PahoBroker(hub.address("cam-1", port), "cam-1")
        self._broker.subscribe(HubTopics("demo").base + "/#", self._hear)
        self.commands: list[messages.Command] = []
        self._broker.subscribe(self.topics.commands, lambda _, payload: self._command(payload))
        self._beating = threading.Event()
        self._broker.connect(lambda up, _: setattr(self, "_up", up), lambda d: self.answered.__setitem__(d.token, d))
        until(lambda: self._up, "a session of the device")

    def say(self, topic: str, data: messages.Message, *, retain: bool = False) -> Delivery:
        token = uuid7(now())
        payload = encode(data, event_id=token, source=self.topics.base, subject="test", at=now())
        return self._send(Outgoing(token, topic, payload, 1, retain, 60, CONTENT_TYPE))

    def _command(self, payload: bytes) -> None:
        data = decode(payload).data
        assert isinstance(data, messages.Command)
        self.commands.append(data)

    def probe(self, alert_id: str, jpeg: bytes) -> str:
        ciphertext = pyrage.encrypt(jpeg, [self._recipient])
        topic = self.topics.probe(alert_id)
        self._send(Outgoing(uuid7(now()), topic, ciphertext, 1, False, 60, PROBE_CONTENT_TYPE))
        return digest(ciphertext)

    def alert(self, entry: str = "e-042", **changes: Any) -> messages.Alert:
        """Send a new alert, with its probe; returns it."""
        sending = alert(entry, **changes)
        self.say(self.topics.alert(sending.alert_id), sending)
        self.probe(sending.alert_id, portrait(60, 10))
        return sending

    def beat(self) -> None:
        """Report its health every 5 s from now on, as a running device does."""

        def beating() -> None:
            while not self._beating.wait(5.0):
                health = encode(
                    messages.Health(mode=Mode.DEMO, at=rfc3339(now())),
                    event_id=uuid7(now()),
                    source=self.topics.base,
                    subject="test",
                    at=now(),
                )
                self._broker.publish(Outgoing(uuid7(now()), self.topics.health, health, 0, True, None, CONTENT_TYPE))

        threading.Thread(target=beating, daemon=True).start()

    def close(self) -> None:
        self._beating.set()
        self._broker.close()

    def _send(self, message: Outgoing) -> Delivery:
        assert self._broker.publish(message)
        until(lambda: message.token in self.answered, f"the broker's answer to {message.topic}")
        return self.answered[message.token]

    def _hear(self, topic: str, payload: bytes) -> None:
        data = decode(payload).data
        if isinstance(data, messages.Adjudication):
            self.judgements.append(data)
        elif isinstance(data, messages.HubState):
            self.hub_states.append(data)


class Van:
    """The running hub and requests to it."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.hub = HubFolder(folder)
        self.process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "device.cli.main",
                "hub",
                "serve",
                str(folder),
                "--port",
                "0",
                "--broker-port",
                "0",
                "--repository-port",
                "0",
                *arguments,
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise AssertionError(self.process.communicate()[1])
        ready = json.loads(line)
        self.url: str = ready["url"]
        self.broker_port: int = ready["broker_port"]
        self.host = urlsplit(self.url).netloc
        answer, _ = self.ask("GET", "/?" + urlsplit(self.url).query, cookie=False)
        self.cookie = SimpleCookie(answer.getheader("Set-Cookie"))["lfr_console"]

    def ask(
        self,
        method: str,
        path: str,
        body: str | None = None,
        *,
        cookie: bool = True,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[http.client.HTTPResponse, bytes]:
        """One request; `headers` replace the usual ones."""
        sent = {"Host": self.host}
        if cookie:
            sent["Cookie"] = f"lfr_console={self.cookie.value}"
        sent.update(headers or {})
        connection = http.client.HTTPConnection(self.host, timeout=WITHIN_S)
        connection.request(method, path, body, sent)
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        return answer, content

    def snapshot(self) -> dict[str, Any]:
        return dict(json.loads(self.ask("GET", "/snapshot")[1]))

    def token(self) -> str:
        return self.ask("GET", "/")[1].decode().split('name="csrf" content="')[1].split('"')[0]

    def decide(self, alert_id: str, kind: str, outcome: str) -> int:
        headers = {
            "Origin": f"http://{self.host}",
            "X-CSRF-Token": self.token(),
            "Content-Type": "application/json",
        }
        body = json.dumps({"outcome": outcome})
        return self.ask("POST", f"/cases/{alert_id}/{kind}", body, headers=headers)[0].status

    def stop(self, which: int = signal.SIGTERM) -> int:
        if self.process.poll() is None:
            self.process.send_signal(which)
        try:
            self.log = self.process.communicate(timeout=WITHIN_S)[1]
        except subprocess.TimeoutExpired:
            os.kill(self.process.pid, signal.SIGKILL)
            raise
        return self.process.returncode


def publish(hub: HubFolder) -> None:
    """The record of the deployment whose alerts these tests send."""
    Records(hub.root).save(
        Record(
            id="demo-2026-11-23",
            stem="0" * 32,
            mode="demo",
            watchlist_id="wl-1",
            devices=("cam-1",),
            ends=now() + timedelta(hours=4),
            published_at=now(),
        )
    )


def now() -> WallTime:
    return wall(datetime.now(timezone.utc))


def until(condition: Callable[[], object], what: str) -> None:
    """Poll for something that another process does; fails loudly after WITHIN_S."""
    deadline = time.monotonic() + WITHIN_S
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {WITHIN_S} s: {what}")
        time.sleep(0.02)


def alert(entry: str = "e-042", **changes: Any) -> messages.Alert:
    candidate = a_candidate(
        entry_ref=entry,
        category="missing",
        image_source="custody",
        image_captured_on="2024-05-01",
        score=0.713,
        threshold=0.458,
        margin=0.255,
        quality=0.82,
    )
    context = a_context(
        now(),
        deployment_id="demo-2026-11-23",
        sign=messages.SignReading(state="simulated", sensed_at=rfc3339(now())),
        operator_session="s-1",
        response_codes={"missing": "R3"},
    )
    return changed(an_alert(uuid7(now()), candidate, context, now()), **changes)


def stats(**changes: int) -> messages.Stats:
    counters = Counters(frames=3200, tracks=71, quality_rejects=9, faces_seen=62, templates=80, discarded=58, alerted=1)
    for name, value in changes.items():
        setattr(counters, name, value)
    return alert_builder.stats_from(
        counters, mode=Mode.DEMO, boot_id="b-1", fps=24.96, at=now(), deployment_id="demo-2026-11-23"
    )


def recognising(camera: Result = "holds") -> messages.DeviceState:
    rows: list[tuple[str, Table, Result, str]] = [
        ("deployment_signed", "arm", "holds", "deployment signed by the authorising officer"),
        ("sign_lit", "run", "holds", "the sign is sensed lit"),
        ("hub_present", "run", "holds", "the hub is there with an operator"),
        ("camera_live", "run", camera, "every camera delivers"),
    ]
    return messages.DeviceState(
        mode=Mode.DEMO,
        state="recognising",
        since=rfc3339(now()),
        inhibit_reasons=[],
        conditions=[messages.ConditionReading(name=n, table=t, result=r, text=x) for n, t, r, x in rows],
        lamps=messages.LampReading(
            sign_driven=True, sign_sensed=True, power=True, recognising=True, alert=True, fault=False, simulated=True
        ),
        deployment_id="demo-2026-11-23",
    )


def erasure(alert_id: str | None, reason: messages.ErasureReason) -> messages.Erasure:
    return alert_builder.erasure_of("alert", count=1, alert_id=alert_id, reason=reason, mode=Mode.DEMO, at=now())


@pytest.fixture(scope="module")
def van(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Van]:
    folder = tmp_path_factory.mktemp("van") / "hub"
    init_hub(folder, site="demo", devices=("cam-1",), mode=Mode.DEMO)
    HubFolder(folder).add_entry("e-042", Entry("Person A", "missing", "R3"), portrait(150, 22))
    publish(HubFolder(folder))
    running = Van(folder)
    yield running
    running.stop()


@pytest.fixture(scope="module")
def device(van: Van) -> Iterator[Device]:
    speaking = Device(van.hub, van.broker_port)
    speaking.say(
        speaking.topics.status, messages.Status(mode=None, status="online", boot_id="b-1", bd_seq=1), retain=True
    )
    speaking.say(speaking.topics.state, recognising(), retain=True)
    camera = messages.CameraStatus(mode=Mode.DEMO, camera_id="front", status="online", since=rfc3339(now()))
    speaking.say(speaking.topics.camera_status("front"), camera, retain=True)
    listed = messages.WatchlistState(mode=Mode.DEMO, watchlist_id="wl-1", sha256="a" * 64, subjects=3, images=4)
    speaking.say(speaking.topics.watchlist_state, listed, retain=True)
    speaking.say(speaking.topics.stats, stats())
    speaking.beat()
    yield speaking
    speaking.close()


@pytest.fixture(scope="session")
def shots() -> Path | None:
    """Where the hub's README has its pictures from: a folder named in LFR_SHOTS; None: no picture is taken."""
    folder = os.environ.get("LFR_SHOTS")
    return None if folder is None else Path(folder)


@pytest.fixture(scope="session")
def chromium() -> str:
    from tools.dev.gate.system_packages import CHROMIUM, find

    found = find(CHROMIUM, cache_dir()) or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        pytest.skip("no chromium on PATH")
    return str(found)


class Words:
    """The builders of this module for the tests."""

    alert = staticmethod(alert)
    stats = staticmethod(stats)
    erasure = staticmethod(erasure)
    recognising = staticmethod(recognising)
    until = staticmethod(until)
    now = staticmethod(now)
    portrait = staticmethod(portrait)
    publish = staticmethod(publish)
    Van = Van
    Device = Device

    @staticmethod
    def later(seconds: float) -> str:
        """A timestamp that far ahead."""
        return rfc3339(wall(now() + timedelta(seconds=seconds)))


@pytest.fixture
def speak() -> Words:
    """See Words."""
    return Words()


@pytest.fixture
def chrome(chromium: str, van: Van, device: Device, tmp_path: Path) -> Iterator[Chrome]:
    """The hub's page, loaded; cases that a test leaves are judged, so that the next one finds an empty desk."""
    with Chrome(chromium, tmp_path / "profile", van.url) as page:
        page.until("document.readyState === 'complete' && document.title.includes('Van hub')")
        yield page
    for case in van.snapshot()["cases"]:
        van.decide(case["id"], "adjudication", "false_alert")
