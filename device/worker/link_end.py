"""The worker's end of the link: messages out from the main thread, messages in by a thread of their own."""

from __future__ import annotations

import queue
import socket
import threading
from collections.abc import Callable

from device.errors import LinkBroken
from device.wire.link import HEADER, MAX_BODY_BYTES, FromWorker, Lease, ToWorker, pack, unpack_to_worker


class LinkEnd:
    """A stream socket to the supervisor. `gone` is set at end-of-file, which means stop.

    fault       why the link broke, when it did not simply end
    on_message  called by the link's thread at each message, the lease included
    """

    def __init__(self, link: socket.socket) -> None:
        self._link = link
        self._inbox: queue.SimpleQueue[ToWorker | None] = queue.SimpleQueue()
        self.gone = threading.Event()
        self._broken_off = False
        self.fault: LinkBroken | None = None
        self.on_message: Callable[[], None] = lambda: None
        self._thread = threading.Thread(target=self._read, name="link", daemon=True)
        self._thread.start()

    def send(self, message: FromWorker) -> None:
        """Send one message whole; a supervisor that is gone sets `gone` and nothing is raised.

        Nothing is sent after `break_off`: a hung supervisor empties no buffer, and this must not wait for it.
        """
        if self._broken_off:
            return
        try:
            self._link.sendall(pack(message))
        except OSError:
            self.gone.set()

    def receive(self, timeout_s: float) -> ToWorker | None:
        """The next message, or None when none came within the time or the link is closed."""
        try:
            waits = timeout_s > 0 and not self.gone.is_set()
            return self._inbox.get(timeout=timeout_s) if waits else self._inbox.get_nowait()
        except queue.Empty:
            return None

    def break_off(self, fault: LinkBroken) -> None:
        """Count the supervisor as gone, because of `fault`; from any thread."""
        self.fault = fault
        self._broken_off = True
        self.gone.set()
        self._inbox.put(None)

    def _read(self) -> None:
        try:
            while (header := self._exactly(HEADER.size)) is not None:
                (length,) = HEADER.unpack(header)
                if length > MAX_BODY_BYTES:
                    raise LinkBroken(f"the supervisor announced {length} bytes, more than {MAX_BODY_BYTES}")
                body = self._exactly(length)
                if body is None:
                    raise LinkBroken("the supervisor's last message is truncated")
                message = unpack_to_worker(body)
                self.on_message()
                if not isinstance(message, Lease):
                    self._inbox.put(message)
                del body, message  # an assignment holds a secret
        except LinkBroken as fault:
            self.fault = fault
        self.gone.set()
        self._inbox.put(None)  # wakes a waiter for messages

    def _exactly(self, count: int) -> bytes | None:
        """`count` bytes; None at end-of-file before the first of them, LinkBroken after it."""
        data = b""
        while len(data) < count:
            try:
                part = self._link.recv(count - len(data))
            except OSError:
                part = b""
            if not part and data:
                raise LinkBroken("the supervisor's last message is truncated")
            if not part:
                return None
            data += part
        return data
