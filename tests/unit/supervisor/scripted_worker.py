"""A worker program for tests of the process link: speaks the wire protocol and misbehaves as its argument asks."""

from __future__ import annotations

import os
import signal
import socket
import sys
import time

from device.domain.finding import Counters
from device.wire.link import HEADER, Finished, Prepare, Stop, pack, unpack_to_worker
from tests.sample_worker import a_beat, a_hello, an_open_list


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
    link.sendall(pack(a_hello(backend="scripted")) + pack(an_open_list()) + pack(a_beat(0, Counters())))
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
