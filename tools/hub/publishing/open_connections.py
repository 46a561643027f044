"""Which connections the repository server keeps open: nobody starves anybody, however many do nothing.

1. Who has shown no certificate yet waits among at most STRANGERS_MOST; with one more the oldest goes.
2. A device has at most DEVICE_MOST connections; with one more its own oldest goes.
"""

from __future__ import annotations

import contextlib
import socket
import threading

STRANGERS_MOST = 64
DEVICE_MOST = 4  # a device uses one, and a second while the first one ends


class OpenConnections:
    """Used by every thread of the server."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._strangers: dict[socket.socket, None] = {}
        self._known: dict[str, dict[socket.socket, None]] = {}

    def arrived(self, connection: socket.socket) -> None:
        """A connection before its handshake (rule 1)."""
        with self._lock:
            self._strangers[connection] = None
            if len(self._strangers) > STRANGERS_MOST:
                _end_oldest(self._strangers)

    def is_of(self, connection: socket.socket, name: str) -> None:
        """Its certificate is known (rule 2)."""
        with self._lock:
            self._strangers.pop(connection, None)
            theirs = self._known.setdefault(name, {})
            theirs[connection] = None
            if len(theirs) > DEVICE_MOST:
                _end_oldest(theirs)

    def gone(self, connection: socket.socket) -> None:
        """It ended."""
        with self._lock:
            self._strangers.pop(connection, None)
            for name, theirs in tuple(self._known.items()):
                theirs.pop(connection, None)
                if not theirs:
                    del self._known[name]


def _end_oldest(connections: dict[socket.socket, None]) -> None:
    """Wake its thread with an error, whatever it waits for; called of the plain socket, under its TLS."""
    oldest = next(iter(connections))
    del connections[oldest]
    with contextlib.suppress(OSError):
        socket.socket.shutdown(oldest, socket.SHUT_RDWR)
