"""A process that holds a lease and is kept busy in one of the ways that a worker can be. For test_lease.py."""

from __future__ import annotations

import ctypes
import os
import socket
import sys
import time

from device.worker.lease import LeaseWatch
from device.worker.link_end import LinkEnd

LEASE_S = 0.6


def main(manner: str, link_number: int, wiped: int) -> int:
    def wipe() -> None:
        os.write(wiped, b"wiped")

    link = LinkEnd(socket.socket(fileno=link_number))
    with LeaseWatch(link, LEASE_S, wipe=wipe):
        os.write(wiped, b"ready ")
        if manner == "busy":
            time.sleep(30)
        elif manner == "holding the interpreter":
            ctypes.PyDLL(None).sleep(30)
        else:
            link.gone.wait(30)
            os.write(wiped, b"stopped")
    return 70 if link.fault is not None else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
