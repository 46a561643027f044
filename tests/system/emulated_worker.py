"""A worker without a camera: opens its list, beats, and reports recorded messages as it is told over a local socket.

    python -m tests.system.emulated_worker ORDERS FD     ORDERS: path of the socket to listen on; FD: the link

Each line on the socket is one order, answered with `done` once its messages are on the link:
    {"walk": 100, "open": 3}                   100 people seen, compared and gone; from now on 3 are in view
    {"candidate": {…}, "probe": "BASE64"}      a recorded candidate; its probe is a JPEG, encrypted here to the hub
"""

from __future__ import annotations

import base64
import json
import select
import socket
import sys
import time
from pathlib import Path
from typing import Any

import msgspec
import pyrage

from device.domain.finding import Candidate, Counters
from device.watchlist.sealed import sha256_of, unseal
from device.wire.link import Assignment, CandidateRaised, Finished, FromWorker, Stop
from device.worker.lease import LeaseWatch
from device.worker.link_end import LinkEnd
from tests.sample_worker import a_beat, a_hello, an_open_list

BEAT_S = 0.25
POLL_S = 0.01
THRESHOLD = 0.5
DETECTOR_SHA256, RECOGNISER_SHA256 = "d" * 64, "e" * 64


class EmulatedWorker:
    """One run of it."""

    def __init__(self, orders: Path, link: LinkEnd, task: Assignment) -> None:
        self._link = link
        self._recipient = pyrage.x25519.Recipient.from_str(task.hub_recipient)
        self._counters = Counters()
        self._beats, self._beaten = 0, 0.0
        orders.unlink(missing_ok=True)
        self._door = socket.socket(socket.AF_UNIX)
        self._door.bind(str(orders))
        self._door.listen()
        self._lines: dict[socket.socket, bytes] = {}
        self._greet(task)

    def _greet(self, task: Assignment) -> None:
        self._send(a_hello(backend="emulated", detector_sha256=DETECTOR_SHA256, recogniser_sha256=RECOGNISER_SHA256))
        sealed = Path(task.watchlist).read_bytes()
        listed = unseal(sealed, task.identity)
        self._send(
            an_open_list(
                watchlist_id=listed.watchlist_id,
                sha256=sha256_of(sealed),
                subjects=listed.subjects,
                images=listed.images,
                threshold=THRESHOLD,
            )
        )

    def run(self) -> None:
        """Until Stop or end-of-file."""
        while not self._link.gone.is_set():
            message = self._link.receive(0.0)
            if isinstance(message, Stop):
                self._counters.discarded += self._counters.open_passages
                self._counters.open_passages = 0
                self._send(Finished(reason=message.reason, counters=self._counters))
                return
            self._orders()
            if time.monotonic() - self._beaten >= BEAT_S:
                self._beat()

    def _orders(self) -> None:
        ready, _, _ = select.select((self._door, *self._lines), (), (), POLL_S)
        for one in ready:
            if one is self._door:
                self._lines[self._door.accept()[0]] = b""
                continue
            content = one.recv(1 << 20)
            if not content:
                one.close()
                del self._lines[one]
                continue
            *whole, self._lines[one] = (self._lines[one] + content).split(b"\n")
            for line in whole:
                self._carry_out(json.loads(line))
                one.sendall(b"done\n")

    def _carry_out(self, order: dict[str, Any]) -> None:
        counters = self._counters
        if "walk" in order:
            still = int(order.get("open", 0))
            counters.faces_seen += int(order["walk"])
            counters.discarded += int(order["walk"]) + counters.open_passages - still
            counters.open_passages = still
        else:
            candidate = msgspec.convert(order["candidate"], Candidate, strict=False)
            if candidate.revision == 0:
                counters.faces_seen += 1
                counters.alerted += 1
            probe = pyrage.encrypt(base64.b64decode(order["probe"]), [self._recipient])
            self._send(CandidateRaised(candidate=candidate, probe=bytes(probe)))
        self._beat()

    def _beat(self) -> None:
        self._beaten = time.monotonic()
        self._send(a_beat(self._beats, self._counters))
        self._beats += 1

    def _send(self, message: FromWorker) -> None:
        self._link.send(message)


def main(orders: str, descriptor: str) -> None:
    link = LinkEnd(socket.socket(fileno=int(descriptor)))
    task = link.receive(30.0)
    if isinstance(task, Assignment):
        worker = EmulatedWorker(Path(orders), link, task)
        with LeaseWatch(link, task.lease_s, lambda: None):
            worker.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
