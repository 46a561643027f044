"""A real mosquitto that refuses a client that it accepted before: the edge gives the reason and the remedy."""

from __future__ import annotations

import queue
import threading
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.reasoncodes import ReasonCode

from device.domain.finding import Mode
from device.edges.broker.paho import PahoBroker
from device.ports.broker import Outgoing
from tools.hub.broker.mosquitto import start_broker
from tools.hub.pki.certificate_authority import revoke_certificate
from tools.hub.site import init_hub
from tools.hub.storage.folder import HubFolder

WITHIN_S = 60.0
REVOKED = "the broker refused our certificate: it was revoked; this device needs another name and a new certificate"


def test_a_revoked_certificate_is_reported_with_its_remedy_at_every_attempt(tmp_path: Path) -> None:
    """With TLS 1.3 some attempts end without a message: the reason that came before stays until there is a session."""
    init_hub(tmp_path / "hub", site="demo", devices=("cam-1",), mode=Mode.TEST)
    hub = HubFolder(tmp_path / "hub")
    revoke_certificate(hub.root, "demo", hub.root / "devices" / "cam-1.pem")
    running = start_broker(hub)
    sessions: queue.Queue[tuple[bool, str]] = queue.Queue()
    device = PahoBroker(hub.address("cam-1", running.port), "cam-1")
    device.connect(lambda up, text: sessions.put((up, text)), lambda delivery: None)
    try:
        deadline = time.monotonic() + WITHIN_S
        received = [sessions.get(timeout=WITHIN_S)]
        while REVOKED not in received[-1][1]:
            assert time.monotonic() < deadline, received
            received.append(sessions.get(timeout=WITHIN_S))
        received.append(sessions.get(timeout=WITHIN_S))
    finally:
        device.close()
        running.stop()
    assert REVOKED in received[-1][1]
    assert not any(up for up, _ in received)


def _noted(sessions: queue.Queue[tuple[bool, str]], up: bool, text: str) -> None:
    sessions.put((up, text))


@pytest.mark.parametrize(("code", "remedy"), [("Not authorized", True), ("Server busy", False)])
def test_a_connection_that_the_broker_refuses_keeps_its_reason(tmp_path: Path, code: str, remedy: bool) -> None:
    """paho reports the disconnection that follows without a reason."""
    init_hub(tmp_path / "hub", site="demo", devices=("cam-1",), mode=Mode.TEST)
    device = PahoBroker(HubFolder(tmp_path / "hub").address("cam-1", 1), "cam-1")
    device._newest = client = device._new_client()
    device._callbacks(client, threading.Event())
    reported: Any = client
    answer = ReasonCode(PacketTypes.CONNACK, code)
    reported.on_connect(client, None, None, answer, None)
    reported.on_disconnect(client, None, None, ReasonCode(PacketTypes.DISCONNECT, "Unspecified error"), None)
    assert device._loss.startswith(f"the broker refused the connection: {code}")
    assert ("lfr hub init DIR --device NAME" in device._loss) == remedy


@pytest.mark.slow
def test_nobody_takes_over_the_session_of_another_certificate(tmp_path: Path) -> None:
    """A device that calls itself `hub` gets a session under its certificate's name; the hub's own goes on."""
    init_hub(tmp_path / "hub", site="demo", devices=("cam-1",), mode=Mode.TEST)
    folder = HubFolder(tmp_path / "hub")
    running = start_broker(folder)
    sessions: dict[str, queue.Queue[tuple[bool, str]]] = {"hub": queue.Queue(), "thief": queue.Queue()}
    hub = PahoBroker(folder.address("hub", running.port), "hub")
    thief = PahoBroker(folder.address("cam-1", running.port), "hub", will_delay_s=0)
    try:
        for name, session in (("hub", hub), ("thief", thief)):
            session.connect(partial(_noted, sessions[name]), lambda delivery: None)
            assert sessions[name].get(timeout=WITHIN_S)[0]
        with pytest.raises(queue.Empty):
            sessions["hub"].get(timeout=1.0)
    finally:
        thief.close()
        hub.close()
        running.stop()


def test_messages_retained_before_a_subscription_are_distinguished_from_new_ones(tmp_path: Path) -> None:
    init_hub(tmp_path / "hub", site="demo", devices=("cam-1",), mode=Mode.TEST)
    folder = HubFolder(tmp_path / "hub")
    running = start_broker(folder)
    device = PahoBroker(folder.address("cam-1", running.port), "cam-1")
    hub = PahoBroker(folder.address("hub", running.port), "hub")
    came: queue.Queue[tuple[str, bytes]] = queue.Queue()
    up: queue.Queue[bool] = queue.Queue()
    answers: queue.Queue[str] = queue.Queue()

    def say(text: bytes) -> None:
        topic = "lfr/v1/demo/cam-1/state"
        assert device.publish(Outgoing(text.decode(), topic, text, 1, True, None, "application/json"))
        assert answers.get(timeout=WITHIN_S) == text.decode()

    try:
        device.connect(lambda online, _: up.put(online), lambda delivery: answers.put(delivery.token))
        assert up.get(timeout=WITHIN_S)
        say(b"old")
        hub.subscribe(
            "lfr/v1/demo/#",
            lambda _, payload: came.put(("arrives", payload)),
            lambda _, payload: came.put(("kept", payload)),
        )
        hub.connect(lambda online, _: up.put(online), lambda _: None)
        assert came.get(timeout=WITHIN_S) == ("kept", b"old")
        say(b"new")
        assert came.get(timeout=WITHIN_S) == ("arrives", b"new")
    finally:
        hub.close()
        device.close()
        running.stop()
