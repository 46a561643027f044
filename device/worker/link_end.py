"""The worker's end of the link: messages out from the main thread, messages in by a thread of their own."""

from __future__ import annotations

import queue
import socket
import threading

from device.errors import LinkBroken
from device.wire.link import HEADER, MAX_BODY_BYTES, FromWorker, ToWorker, pack, unpack_to_worker


class LinkEnd:
    """A stream socket to the supervisor. `gone` is set at end-of-file, which means stop."""

    def __init__(self, link: socket.socket) -> None:
        self._link = link
        self._inbox: queue.SimpleQueue[ToWorker] = queue.SimpleQueue()
        self.gone = threading.Event()
        self._thread = threading.Thread(target=self._read, name="link", daemon=True)
        self._thread.start()

    def send(self, message: FromWorker) -> None:
        """Send one message whole; a supervisor that is gone sets `gone` and nothing is raised."""
        try:
            self._link.sendall(pack(message))
        except OSError:
            self.gone.set()

    def receive(self, timeout_s: float) -> ToWorker | None:
        """The next message, or None when none came in time."""
        try:
            return self._inbox.get(timeout=timeout_s) if timeout_s > 0 else self._inbox.get_nowait()
        except queue.Empty:
            return None

    def _read(self) -> None:
        try:
            while True:
                (length,) = HEADER.unpack(self._exactly(HEADER.size))
                if length > MAX_BODY_BYTES:
                    raise LinkBroken(f"the supervisor announced {length} bytes, more than {MAX_BODY_BYTES}")
                self._inbox.put(unpack_to_worker(self._exactly(length)))
        except (OSError, EOFError, LinkBroken):
            self.gone.set()

    def _exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            part = self._link.recv(count - len(data))
            if not part:
                raise EOFError
            data += part
        return data
