"""A broker without a network: one exchange that behaves like the van's, any number of sessions on it.

It routes by MQTT's wildcards, keeps retained messages, sends wills, queues for absent sessions, reports `No matching
subscribers`, and on request refuses, withholds its answers or goes down. Everything happens at once, on the caller's
thread, so that tests with virtual time stay exact.
"""

from __future__ import annotations

from collections.abc import Callable

from device.errors import BrokerUnavailable
from device.ports.broker import Delivery, Outgoing

OnMessage = Callable[[str, bytes], None]


class FakeExchange:
    """Shared by all sessions of one test. `log` holds every accepted message in order."""

    def __init__(self) -> None:
        self.log: list[Outgoing] = []
        self.retained: dict[str, Outgoing] = {}
        self.sessions: dict[str, FakeBroker] = {}
        self.down = False
        self._denied: list[tuple[str, str]] = []
        self._held_back: set[str] = set()
        self._withholding = False
        self._withheld: list[tuple[FakeBroker, Delivery]] = []

    def deny(self, client_id: str, pattern: str) -> None:
        """Refuse what this client publishes there from now on (`Not authorized`)."""
        self._denied.append((client_id, pattern))

    def hold_back(self, client_id: str) -> None:
        """Acknowledge what this session is to receive, and pass nothing on until `go_down`, with which it is lost."""
        self._held_back.add(client_id)

    def holds_back(self, client_id: str) -> bool:
        """Whether this session receives nothing for now."""
        return client_id in self._held_back

    def withhold(self) -> None:
        """Take messages and answer none of them until `answer` or `go_down`."""
        self._withholding = True

    def answer(self) -> None:
        """Answer what was withheld, in order, and continue normally."""
        self._withholding = False
        withheld, self._withheld = self._withheld, []
        for session, delivery in withheld:
            session.answered(delivery)

    def go_down(self, *, forget_sessions: bool = True) -> None:
        """Stop: every session is lost, unanswered messages are not accepted, retained ones are lost."""
        self.down = True
        self._held_back.clear()
        self._withholding = False
        withheld, self._withheld = self._withheld, []
        self.retained.clear()
        for session, delivery in withheld:
            session.answered(Delivery(delivery.token, accepted=False, acknowledged=False, reason="connection lost"))
        for session in tuple(self.sessions.values()):
            session.lost("connection lost")
            if forget_sessions:
                session.queued.clear()

    def come_up(self) -> None:
        """Accept sessions again; every open one reconnects."""
        self.down = False
        for session in tuple(self.sessions.values()):
            session.found()

    def kill(self, client_id: str) -> None:
        """The client's process dies: its will is sent, its session stays."""
        session = self.sessions[client_id]
        session.lost("killed")
        if session.will is not None:
            self.route(session.will)

    def take(self, session: FakeBroker, message: Outgoing) -> None:
        """Accept or deny one message and answer."""
        if any(client == session.client_id and matches(p, message.topic) for client, p in self._denied):
            delivery = Delivery(message.token, accepted=False, acknowledged=False, reason="Not authorized")
        else:
            matched = self.route(message)
            delivery = Delivery(message.token, True, matched, "Success" if matched else "No matching subscribers")
        if self._withholding:
            self._withheld.append((session, delivery))
        else:
            session.answered(delivery)

    def route(self, message: Outgoing) -> bool:
        """Deliver to every matching subscriber; whether there was one."""
        self.log.append(message)
        if message.retain:
            self.retained[message.topic] = message
        received = [session.receive(message) for session in tuple(self.sessions.values())]
        return any(received)


class FakeBroker:
    """One session of a FakeExchange; the broker port."""

    def __init__(self, exchange: FakeExchange, client_id: str, will: Outgoing | None = None) -> None:
        self.client_id = client_id
        self.will = will
        self.queued: list[Outgoing] = []
        self._exchange = exchange
        self._patterns: dict[str, OnMessage] = {}
        self._retained: dict[str, OnMessage] = {}
        self._connected = False
        self.reloads = 0
        self.bad_certificates = ""
        """Why the certificates cannot be used; empty while they can."""

    def connect(self, on_session: Callable[[bool, str], None], on_delivery: Callable[[Delivery], None]) -> None:
        self._on_session = on_session
        self._on_delivery = on_delivery
        self._exchange.sessions[self.client_id] = self
        self.found()

    def subscribe(self, pattern: str, on_message: OnMessage, on_retained: OnMessage | None = None) -> None:
        self._patterns[pattern] = on_message
        self._retained[pattern] = on_retained or on_message
        if self._connected:
            self._resend(pattern)

    def publish(self, message: Outgoing) -> bool:
        if not self._connected:
            return False
        self._exchange.take(self, message)
        return True

    def reload(self) -> None:
        if self.bad_certificates:
            raise BrokerUnavailable(self.bad_certificates)
        self.reloads += 1

    def close(self) -> None:
        if self._exchange.sessions.pop(self.client_id, None) is not None and self._connected:
            self.lost("closed")

    def found(self) -> None:
        """The exchange is available (again)."""
        if self._exchange.down:
            self._on_session(False, "nothing listens")
            return
        self._connected = True
        for pattern in tuple(self._patterns):
            self._resend(pattern)
        queued, self.queued = self.queued, []
        self._on_session(True, "resumed" if queued else "new session")
        for message in queued:
            self._hand_over(message)

    def lost(self, reason: str) -> None:
        """The session ended."""
        if self._connected:
            self._connected = False
            self._on_session(False, reason)

    def receive(self, message: Outgoing) -> bool:
        """Take a routed message if subscribed; an absent session keeps QoS 1 for later."""
        if not any(matches(pattern, message.topic) for pattern in self._patterns):
            return False
        if self._connected:
            if not self._exchange.holds_back(self.client_id):
                self._hand_over(message)
        elif message.qos:
            self.queued.append(message)
        return True

    def answered(self, delivery: Delivery) -> None:
        """The exchange's answer to one of our messages."""
        self._on_delivery(delivery)

    def _hand_over(self, message: Outgoing) -> None:
        for pattern, on_message in tuple(self._patterns.items()):
            if matches(pattern, message.topic):
                on_message(message.topic, message.payload)

    def _resend(self, pattern: str) -> None:
        for topic, message in tuple(self._exchange.retained.items()):
            if matches(pattern, topic):
                self._retained[pattern](topic, message.payload)


def matches(pattern: str, topic: str) -> bool:
    """Whether a topic matches a subscription: `+` one level, `#` the rest (MQTT 5, section 4.7)."""
    wanted, given = pattern.split("/"), topic.split("/")
    for n, part in enumerate(wanted):
        if part == "#":
            return True
        if n >= len(given) or part not in ("+", given[n]):
            return False
    return len(wanted) == len(given)
