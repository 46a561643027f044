"""A second subscriber at the broker: checks raw payloads, of which the listener keeps only the decoded content.

It checks at arrival and keeps the result; no payload is stored.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable

from device.edges.broker.paho import PahoBroker
from device.errors import BadData, BrokerUnavailable
from device.hub_api.topics import HubTopics, parse
from tools.dev.demo.evidence import ProbeReceived
from tools.dev.demo.leftovers import Needle
from tools.hub.storage.folder import HubFolder
from tools.hub.storage.probes import ProbeOpener

CLIENT_ID = "witness"
SESSION_WITHIN_S = 60.0
STOPPED = b'"stopped"'


class Witness:
    """Reads everything of a site with the listener's certificate; a context manager.

    probes  one row for each probe message
    betrayals  topic and what was found of every payload that held a needle in the clear
    """

    def __init__(self, hub: HubFolder, port: int, needles: Iterable[Needle]) -> None:
        import pyrage

        self._opener = ProbeOpener(hub.keys)
        self._stranger = pyrage.x25519.Identity.generate()
        self._needles = tuple(needles)
        self._pattern = HubTopics(hub.settings().site).everything
        self._broker = PahoBroker(hub.address("witness", port), CLIENT_ID, session_expiry_s=0)
        self._online, self._device_stopped = threading.Event(), threading.Event()
        self._reason = "no session yet"
        self.probes: list[ProbeReceived] = []
        self.betrayals: list[tuple[str, str]] = []

    def __enter__(self) -> Witness:
        self._broker.subscribe(self._pattern, self._arrived)
        self._broker.connect(self._session, lambda _: None)
        if not self._online.wait(SESSION_WITHIN_S):
            self._broker.close()
            raise BrokerUnavailable(f"the witness has no session after {SESSION_WITHIN_S:g} s: {self._reason}")
        return self

    def __exit__(self, *_: object) -> None:
        self._broker.close()

    def until_device_stopped(self, within_s: float) -> bool:
        """Wait for the device's last status: all that it sent before has been checked then."""
        return self._device_stopped.wait(within_s)

    def _session(self, online: bool, reason: str) -> None:
        self._reason = reason
        if online:
            self._online.set()

    def _arrived(self, topic: str, payload: bytes) -> None:
        place = parse(topic)
        if place is not None and place.branch == "alert/probe":
            self.probes.append(ProbeReceived(place.subject or "", self._for_hub(payload), self._for_others(payload)))
        if place is not None and place.branch == "status" and STOPPED in payload:
            self._device_stopped.set()
        self.betrayals += [(topic, needle.what) for needle in self._needles if needle.bytes in payload]

    def _for_hub(self, ciphertext: bytes) -> bool:
        try:
            return bool(self._opener.open(ciphertext))
        except BadData:
            return False

    def _for_others(self, payload: bytes) -> bool:
        """Whether the payload can be read without the hub's identity."""
        import pyrage

        try:
            pyrage.decrypt(payload, [self._stranger])
        except pyrage.DecryptError:
            return not payload.startswith(b"age-encryption.org/v1")
        return True
