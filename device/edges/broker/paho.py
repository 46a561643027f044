"""Broker by paho-mqtt: MQTT 5, mutual TLS, one persistent session, a will.

1. Only `on_publish` with a reason code that is no failure counts. paho's `is_published()` is True for a message that
   the access list denied, and raises for one that was delivered later (2026-11-22, paho 2.2.0, mosquitto 2.0.11).
2. paho's own queue is never a store: `publish` takes a message only while a session exists and at most IN_FLIGHT are
   unanswered. Every connection has a fresh client, so a message of the last one is never sent without its owner: its
   alert may have been erased meanwhile. What was unanswered at the loss is reported as not accepted.
3. The broker keeps the subscriptions for `session_expiry_s`, so that a judgement made during a gap still arrives. Every
   connection subscribes anew: a broker without persistence loses sessions when it restarts.
4. `on_session(True, …)` comes after the broker confirmed the subscriptions. Callbacks run on paho's thread or on the
   connecting thread, must not block, and must not raise (paho logs what they raise and goes on).
"""

from __future__ import annotations

import logging
import random
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from device.edges.broker.faults import certificate_refused, error_text, refusal
from device.errors import BrokerUnavailable
from device.logs import event
from device.ports.broker import Delivery, Outgoing

if TYPE_CHECKING:
    from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage
    from paho.mqtt.properties import Properties
    from paho.mqtt.reasoncodes import ReasonCode

IN_FLIGHT = 32  # or the broker's Receive Maximum if that is less, so paho never queues by itself
KEEPALIVE_S = 10  # a dead link is noticed within 15 s; the hub's will fires after 1.5 keepalives (MQTT 5, 3.1.2.10)
CONNECT_WITHIN_S = 5.0
CLOSE_WITHIN_S = 2.0
BACK_OFF_FIRST_S = 0.25
BACK_OFF_MOST_S = 2.0  # a van has few devices; undelivered alerts are on the page within 5 s of a hub's return
NO_MATCHING_SUBSCRIBERS = 0x10  # MQTT 5, table 3-4

_log = logging.getLogger(__name__)
OnMessage = Callable[[str, bytes], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerAddress:
    """The broker's address and this client's certificate, or what chooses the newest `ca` and `cert` of them."""

    host: str
    port: int
    ca: Path
    cert: Path
    key: Path
    newest: Callable[[], tuple[Path, Path]] | None = None


class PahoBroker:
    """One MQTT session to the van hub; connects and reconnects by itself until closed."""

    def __init__(
        self,
        address: BrokerAddress,
        client_id: str,
        will: Outgoing | None = None,
        *,
        session_expiry_s: int = 3600,
        will_delay_s: int = 1,
        retain_as_published: bool = False,
    ) -> None:
        """Read the certificates; BrokerUnavailable when one is missing or does not belong to its key.

        retain_as_published: who gets what was kept also gets what is retained now (MQTT 5, 3.8.3.1)."""
        self._retain_as_published = retain_as_published
        self._address = address
        self._client_id = client_id
        self._will = will
        self._session_expiry_s = session_expiry_s
        self._will_delay_s = will_delay_s
        self._tls = _tls_context(address)
        self._patterns: dict[str, tuple[OnMessage, OnMessage]] = {}
        """Pattern to the receivers of what arrives and of what was kept before the subscription."""
        self._lock = threading.Lock()
        self._client: Client | None = None
        self._newest: Client | None = None
        """The client of the latest connection, with a session or not yet; reports of earlier ones are ignored."""
        self._tokens: dict[int, str] = {}
        self._early: dict[int, ReasonCode] = {}
        self._in_flight_limit = IN_FLIGHT
        self._loss = "not connected yet"
        self._refused = ""  # why the broker rejected this device, until it accepts; TLS 1.3 may lose the reason
        self._ended = threading.Event()
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None

    def connect(self, on_session: Callable[[bool, str], None], on_delivery: Callable[[Delivery], None]) -> None:
        """Start connecting in the background; returns at once."""
        self._on_session = on_session
        self._on_delivery = on_delivery
        self._thread = threading.Thread(target=self._run, name="mqtt", daemon=True)
        self._thread.start()

    def subscribe(self, pattern: str, on_message: OnMessage, on_retained: OnMessage | None = None) -> None:
        """Receive what matches at QoS 1, from now on and after every reconnection."""
        self._patterns[pattern] = (on_message, on_retained or on_message)
        client = self._client
        if client is not None:
            client.subscribe([(pattern, self._options())])

    def publish(self, message: Outgoing) -> bool:
        """Hand one message to the broker; False without a session or with IN_FLIGHT unanswered (rule 2)."""
        with self._lock:
            client = self._client
            if client is None or len(self._tokens) >= self._in_flight_limit:
                return False
        info = client.publish(
            message.topic, message.payload, message.qos, message.retain, properties=_publish_properties(message)
        )
        if info.rc != 0:
            return False
        with self._lock:
            if self._client is not client:
                return False
            early = self._early.pop(info.mid, None)
            if early is None:
                self._tokens[info.mid] = message.token
        if early is not None:
            self._on_delivery(_delivery(message.token, early))
        return True

    def reload(self) -> None:
        """Read the certificates again for the next session; BrokerUnavailable when they cannot be used."""
        self._tls = _tls_context(self._address)

    def close(self) -> None:
        """Disconnect cleanly (no will) within CLOSE_WITHIN_S; unanswered messages are reported as not accepted."""
        self._closing.set()
        with self._lock:
            client = self._client
        if client is not None:
            client.disconnect()
        self._ended.wait(CLOSE_WITHIN_S if client is not None else 0)
        self._ended.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(CLOSE_WITHIN_S)

    def _run(self) -> None:
        """Connect, wait for the loss, pause, repeat. The back-off doubles while no session is established."""
        failures = 0
        while not self._closing.is_set():
            self._ended.clear()
            had_session = self._one_session()
            failures = 0 if had_session else failures + 1
            wait_s = min(BACK_OFF_MOST_S, BACK_OFF_FIRST_S * 2.0 ** min(failures, 10))
            self._closing.wait(wait_s * random.uniform(0.7, 1.3))

    def _one_session(self) -> bool:
        """One connection from start to end; True if a session was established."""
        client = self._new_client()
        established = threading.Event()
        self._callbacks(client, established)
        with self._lock:
            self._newest = client
        try:
            client.connect(
                self._address.host,
                self._address.port,
                KEEPALIVE_S,
                clean_start=False,
                properties=_connect_properties(self._session_expiry_s),
            )
        except (OSError, ValueError) as fault:
            self._refused = ""
            self._lost(error_text(fault, f"{self._address.host}:{self._address.port}"))
            return False
        client.loop_start()
        if not self._answered(established):
            self._loss = self._loss if self._ended.is_set() else f"no answer within {CONNECT_WITHIN_S:g} s"
            client.disconnect()
            self._lost(self._loss)
            return False
        while not self._ended.wait(KEEPALIVE_S):
            if not client.is_connected():  # its thread ended without a report
                self._loss = "the session ended without a report"
                break
        self._lost(self._loss)
        return True

    def _tls_now(self) -> ssl.SSLContext:
        """Certificates as they are now: renewed ones count from the next connection on."""
        try:
            self._tls = _tls_context(self._address)
        except BrokerUnavailable as fault:
            event(_log, "mqtt.certificates_not_read", level=logging.WARNING, reason=str(fault))
        return self._tls

    def _options(self) -> Any:
        from paho.mqtt.subscribeoptions import SubscribeOptions

        return SubscribeOptions(qos=1, retainAsPublished=self._retain_as_published)

    def _answered(self, established: threading.Event) -> bool:
        waited_s = 0.0
        while waited_s < CONNECT_WITHIN_S and not established.is_set() and not self._ended.is_set():
            established.wait(0.05)
            waited_s += 0.05
        return established.is_set()

    def _new_client(self) -> Client:
        from paho.mqtt.client import Client
        from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

        client = Client(
            CallbackAPIVersion.VERSION2,
            self._client_id,
            protocol=MQTTProtocolVersion.MQTTv5,
            reconnect_on_failure=False,
        )
        client.connect_timeout = CONNECT_WITHIN_S
        client.suppress_exceptions = True
        client.max_inflight_messages_set(IN_FLIGHT)
        client.tls_set_context(self._tls_now())
        if self._will is not None:
            properties = _publish_properties(self._will, will=True)
            properties.WillDelayInterval = self._will_delay_s
            client.will_set(self._will.topic, self._will.payload, self._will.qos, self._will.retain, properties)
        return client

    def _callbacks(self, client: Client, established: threading.Event) -> None:
        """Connect one client's callbacks; late reports of a client that is not the newest are ignored."""

        def begin(text: str) -> None:
            with self._lock:
                if self._newest is client:
                    self._client = client
            if self._client is not client:
                client.disconnect()
                return
            established.set()
            self._refused = ""
            event(_log, "mqtt.session", host=self._address.host, port=self._address.port, session=text)
            self._on_session(True, text)

        def on_connect(c: Client, _: Any, flags: ConnectFlags, code: ReasonCode, granted: Properties | None) -> None:
            if code.is_failure:
                self._refused = f"the broker refused the connection: {refusal(code)}"
                return
            self._in_flight_limit = min(IN_FLIGHT, getattr(granted, "ReceiveMaximum", IN_FLIGHT))
            client.user_data_set("resumed" if flags.session_present else "new session")
            if self._patterns:
                c.subscribe([(pattern, self._options()) for pattern in self._patterns])
            else:
                begin(client.user_data_get())

        def on_subscribe(_: Client, text: Any, __: int, codes: list[ReasonCode], ___: Properties | None) -> None:
            refused = [refusal(code) for code in codes if code.is_failure]
            if refused:
                self._refused = f"the broker refused a subscription: {', '.join(refused)}"
                client.disconnect()
            elif not established.is_set():
                begin(str(text))

        def on_disconnect(_: Client, __: Any, ___: DisconnectFlags, code: ReasonCode, ____: Properties | None) -> None:
            with self._lock:
                if self._newest is not client:
                    return
                self._loss = "closed" if self._closing.is_set() else self._refused or f"connection lost: {code}"
                self._ended.set()

        def on_publish(_: Client, __: Any, mid: int, code: ReasonCode, ___: Properties) -> None:
            with self._lock:
                if self._newest is not client:
                    return
                token = self._tokens.pop(mid, None)
                if token is None:
                    self._early[mid] = code
            if token is not None:
                self._on_delivery(_delivery(token, code))

        def on_message(_: Client, __: Any, message: MQTTMessage) -> None:
            self._receive(message.topic, bytes(message.payload), kept=message.retain)

        client.on_connect, client.on_disconnect = on_connect, on_disconnect
        client.on_subscribe, client.on_publish = on_subscribe, on_publish
        client.on_message, client.on_log = on_message, self._on_log

    def _on_log(self, client: Client, _: Any, level: int, text: str) -> None:
        """paho's log: why the broker ended the TLS session, and exceptions of our own callbacks."""
        if self._newest is client:
            self._refused = certificate_refused(text) or self._refused
        if level >= logging.ERROR or text.startswith("Caught exception"):
            event(_log, "mqtt.callback_failed", level=logging.ERROR, text=text)

    def _receive(self, topic: str, payload: bytes, *, kept: bool) -> None:
        from paho.mqtt.client import topic_matches_sub

        for pattern, (on_message, on_retained) in tuple(self._patterns.items()):
            if topic_matches_sub(pattern, topic):
                (on_retained if kept else on_message)(topic, payload)

    def _lost(self, reason: str) -> None:
        with self._lock:
            self._client = self._newest = None
            unanswered = list(self._tokens.values())
            self._tokens.clear()
            self._early.clear()
        for token in unanswered:
            self._on_delivery(Delivery(token, accepted=False, acknowledged=False, reason=reason))
        level = logging.INFO if self._closing.is_set() else logging.WARNING
        event(_log, "mqtt.no_session", level=level, host=self._address.host, reason=reason)
        self._on_session(False, reason)


def _delivery(token: str, code: ReasonCode) -> Delivery:
    return Delivery(
        token,
        accepted=not code.is_failure,
        acknowledged=not code.is_failure and code.value != NO_MATCHING_SUBSCRIBERS,
        reason=str(code),
    )


def _properties(packet: str) -> Properties:
    """Empty properties of a packet type: CONNECT, PUBLISH or WILLMESSAGE."""
    from paho.mqtt.packettypes import PacketTypes
    from paho.mqtt.properties import Properties

    make: Callable[[int], Properties] = Properties
    return make(getattr(PacketTypes, packet))


def _connect_properties(session_expiry_s: int) -> Properties:
    properties = _properties("CONNECT")
    properties.SessionExpiryInterval = session_expiry_s
    return properties


def _publish_properties(message: Outgoing, will: bool = False) -> Properties:
    properties = _properties("WILLMESSAGE" if will else "PUBLISH")
    properties.ContentType = message.content_type
    if message.expiry_s is not None:
        properties.MessageExpiryInterval = message.expiry_s
    if message.response_topic is not None:
        properties.ResponseTopic = message.response_topic
    if message.correlation is not None:
        properties.CorrelationData = message.correlation
    return properties


def _tls_context(address: BrokerAddress) -> ssl.SSLContext:
    try:
        ca, cert = (address.ca, address.cert) if address.newest is None else address.newest()
        context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=str(ca))
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(str(cert), str(address.key))
    except (OSError, ValueError) as fault:
        files = f"ca {address.ca}, cert {address.cert}, key {address.key}"
        raise BrokerUnavailable(f"certificates for {address.host}: {fault} ({files})") from fault
    return context
