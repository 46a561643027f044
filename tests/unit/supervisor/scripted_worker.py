"""A worker program for tests of the process link: speaks the wire protocol and misbehaves as its argument asks."""

from __future__ import annotations

import os
import signal
import socket
import sys
import time

from device.domain.finding import Counters
from device.wire.link import (
    HEADER,
    PROTOCOL,
    Beat,
    Finished,
    Hello,
    Prepare,
    Stop,
    WatchlistLoaded,
    pack,
    unpack_to_worker,
)

SHA = "b" * 64


def main(manner: str, descriptor: int) -> int:
    link = socket.socket(fileno=descriptor)
    first = read(link)
    if isinstance(first, Prepare) and manner == "dies prepared":
        os.kill(os.getpid(), signal.SIGKILL)
    while isinstance(first, Prepare):
        first = read(link)
    if manner == "segfault":
        os.kill(os.getpid(), signal.SIGSEGV)
    if manner == "babble":
        link.sendall(HEADER.pack(5) + b"hello")
        time.sleep(60)
    link.sendall(
        pack(
            Hello(
                protocol=PROTOCOL,
                pid=os.getpid(),
                backend="scripted",
                detector="d",
                recogniser="r",
                detector_sha256=SHA,
                recogniser_sha256=SHA,
                self_test="",
                protections={"memory_locked": True},
            )
        )
    )
    link.sendall(
        pack(
            WatchlistLoaded(
                watchlist_id="wl-1",
                sha256="a" * 64,
                subjects=3,
                images=3,
                threshold=0.5,
                threshold_source="evidence",
                predicted_far=None,
            )
        )
    )
    beat = Beat(seq=0, camera="online", fps=25.0, counters=Counters(), stage_p95_ms={}, rss_bytes=1)
    link.sendall(pack(beat))
    if manner == "cut short":
        link.sendall(HEADER.pack(100) + b"x")
        return 0
    message = read(link)
    if isinstance(message, Stop) and manner == "deaf":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        time.sleep(60)
    if isinstance(message, Stop):
        link.sendall(pack(Finished(reason=message.reason, counters=Counters(faces_seen=4, discarded=4))))
        if manner == "slow to leave":
            time.sleep(60)
    return 0


def read(link: socket.socket) -> object:
    """The next message, or None at end-of-file."""
    head = link.recv(HEADER.size, socket.MSG_WAITALL)
    if not head:
        return None
    (length,) = HEADER.unpack(head)
    return unpack_to_worker(link.recv(length, socket.MSG_WAITALL))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2])))
