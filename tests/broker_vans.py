"""Brokers to test sessions on: a fake one in memory and a real Mosquitto, with the same handles."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from device.edges.broker.fake import FakeBroker, FakeExchange
from device.edges.broker.paho import PahoBroker
from device.ports.broker import Broker, Delivery, Outgoing
from tools.hub.broker.mosquitto import RunningBroker, start_broker
from tools.hub.storage.folder import HubFolder

WITHIN_S = 60.0
BASE = "lfr/v1/demo"


def message(token: str, topic: str, text: bytes = b"{}", **changes: object) -> Outgoing:
    fields: dict[str, Any] = {"qos": 1, "retain": False, "expiry_s": 60, "content_type": "application/json"}
    return Outgoing(token=token, topic=topic, payload=text, **{**fields, **changes})


@dataclass
class Watched:
    """One session and everything that its callbacks received."""

    broker: Broker
    sessions: list[tuple[bool, str]] = field(default_factory=list)
    deliveries: list[Delivery] = field(default_factory=list)
    messages: list[tuple[str, bytes]] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)

    def connect(self) -> Watched:
        self.broker.connect(
            lambda up, text: self._note(self.sessions, (up, text)),
            lambda delivery: self._note(self.deliveries, delivery),
        )
        return self

    def subscribe(self, pattern: str) -> Watched:
        self.broker.subscribe(pattern, lambda topic, payload: self._note(self.messages, (topic, payload)))
        return self

    def online(self) -> Watched:
        return self.until(lambda: bool(self.sessions) and self.sessions[-1][0])

    def until(self, condition: Callable[[], bool]) -> Watched:
        """Wait for something that the callbacks bring; fails loudly after WITHIN_S."""
        with self.changed:
            if not self.changed.wait_for(condition, WITHIN_S):
                raise AssertionError(f"not within {WITHIN_S} s; {self.sessions=} {self.deliveries=} {self.messages=}")
        return self

    def _note(self, notes: list[Any], note: object) -> None:
        with self.changed:
            notes.append(note)
            self.changed.notify_all()


class Van(Protocol):
    """A broker with sessions on it, real or not."""

    def session(self, name: str, will: Outgoing | None = None) -> Watched: ...

    def restart(self) -> None: ...

    def kill(self, watched: Watched, name: str) -> None: ...

    def freeze(self) -> None: ...

    def thaw(self) -> None: ...

    def close(self) -> None: ...


class FakeVan:
    def __init__(self) -> None:
        self.exchange = FakeExchange()
        self.exchange.deny("cam-1", f"{BASE}/cam-2/#")
        self.exchange.deny("cam-1", f"{BASE}/hub/#")

    def session(self, name: str, will: Outgoing | None = None) -> Watched:
        return Watched(FakeBroker(self.exchange, name, will))

    def restart(self) -> None:
        self.exchange.go_down()
        self.exchange.come_up()

    def kill(self, watched: Watched, name: str) -> None:
        self.exchange.kill(name)

    def freeze(self) -> None:
        self.exchange.withhold()

    def thaw(self) -> None:
        self.exchange.answer()

    def close(self) -> None:
        pass


class MosquittoVan:
    def __init__(self, hub: HubFolder, port: int = 0) -> None:
        self.hub = hub
        self.running: RunningBroker = start_broker(hub, port)
        self.open: list[Broker] = []

    def session(self, name: str, will: Outgoing | None = None) -> Watched:
        broker = PahoBroker(self.hub.address(name, self.running.port), name, will, will_delay_s=0)
        self.open.append(broker)
        return Watched(broker)

    def restart(self) -> None:
        port = self.running.port
        self.running.stop()
        self.running = start_broker(self.hub, port)

    def kill(self, watched: Watched, name: str) -> None:
        """Cut the connection under it, as a dead process does: no DISCONNECT is sent."""
        session: Any = watched.broker
        client = session._client
        session._closing.set()
        client.socket().close()

    def freeze(self) -> None:
        os.kill(self.running.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        os.kill(self.running.pid, signal.SIGCONT)

    def close(self) -> None:
        if self.running.running():
            self.thaw()
        for broker in self.open:
            broker.close()
        self.running.stop()
