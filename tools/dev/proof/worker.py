"""A vision worker as the supervisor starts it, with its assignment, and the supervisor's end of its link."""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from device.domain.finding import Mode
from device.edges.sandbox.hardening import worker_environment
from device.enrolment.compose import compose
from device.enrolment.engine_photo_reader import EnginePhotoReader
from device.enrolment.folder import enrol
from device.enrolment.model_sessions import ModelSessions
from device.watchlist.sealed import seal
from device.wire.link import (
    HEADER,
    PROTOCOL,
    Assignment,
    CameraAssignment,
    FromWorker,
    Stop,
    ToWorker,
    VisionAssignment,
    pack,
    unpack_from_worker,
)
from engines.places import CACHE_VARIABLE, cache_dir, models_dir
from tools.dev.clip.spec import write_watchlist

COMMAND = (sys.executable, "-m", "device.worker")
WITHIN_S = 60.0
PATIENCE_S = 200.0  # for one message while others come: emulated machines are slow
WHOLE_FRAME = ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0))
Message = TypeVar("Message")
One = TypeVar("One", bound="WorkerProcess")


@dataclass(frozen=True)
class Given:
    """A worker's assignment and files, which lie in `place`. hub: the age identity that opens its probes."""

    task: Assignment
    hub: Any
    place: Path


def given(
    place: Path,
    source: str,
    *,
    pace: str = "realtime",
    backend: str = "auto",
    recogniser: str | None = None,
    screen: str | None = None,
) -> Given:
    """A task over `source`, with a list of one person: the listed one of the demo's clip. `screen`: of a pair."""
    import pyrage

    room = ModelSessions(backend, threads=1, recogniser=recogniser, screen=screen)
    try:
        reader = EnginePhotoReader(room)
        enrolment = enrol(write_watchlist(place / "watchlist"), [reader], progress=False)
        reader.close()
    finally:
        room.close()
    identity, hub = pyrage.x25519.Identity.generate(), pyrage.x25519.Identity.generate()
    listed = compose(
        enrolment,
        watchlist_id="wl-1",
        deployment_id="d-1",
        mode=Mode.TEST,
        created_at=datetime.now(timezone.utc),
        recogniser_sha256=room.recognisers.source_sha256,
        category="missing",
        image_source="custody",
    )
    sealed = place / "watchlist.age"
    sealed.write_bytes(seal(listed, [str(identity.to_public())]))
    vision = VisionAssignment(
        backend=backend,
        min_face_px=32.0,
        threshold=None,
        models_dir=str(models_dir()),
        recogniser=recogniser,
        screen=screen,
    )
    task = Assignment(
        protocol=PROTOCOL,
        mode=Mode.TEST,
        deployment_id="d-1",
        camera=CameraAssignment(camera_id="front", source=source, pace=pace, zone=WHOLE_FRAME),
        vision=vision,
        watchlist=str(sealed),
        identity=str(identity),
        hub_recipient=str(hub.to_public()),
    )
    return Given(task, hub, place)


class WorkerProcess:
    """One worker, started in `place`; a context manager. Every wait has a deadline.

    inherits  open files that it gets too;  received  every message so far
    link_number  the worker's end of the link, in the worker
    """

    def __init__(
        self,
        place: Path,
        command: Sequence[str] = COMMAND,
        *,
        stdin: int = subprocess.DEVNULL,
        inherits: Sequence[int] = (),
    ) -> None:
        self._link, theirs = socket.socketpair()
        self._link.settimeout(WITHIN_S)
        self.process = subprocess.Popen(
            [*command, str(theirs.fileno())],
            pass_fds=(theirs.fileno(), *inherits),
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=place,
            env={**worker_environment(os.environ), "HOME": str(place), CACHE_VARIABLE: str(cache_dir())},
        )
        self.link_number = theirs.fileno()
        theirs.close()
        self.received: list[FromWorker] = []

    def __enter__(self: One) -> One:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the link, and end it if it still runs."""
        self.hang_up()
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(WITHIN_S)
        for pipe in (self.process.stdout, self.process.stderr):
            if pipe is not None:
                pipe.close()

    def send(self, message: ToWorker) -> None:
        self.raw(pack(message))

    def raw(self, data: bytes) -> None:
        """Send bytes that need not be a message."""
        self._link.sendall(data)

    def receive(self) -> FromWorker | None:
        """The next message; None at end-of-file, which is a reset when the worker left something of ours unread."""
        try:
            head = self._link.recv(HEADER.size, socket.MSG_WAITALL)
        except ConnectionResetError:
            return None
        if not head:
            return None
        (length,) = HEADER.unpack(head)
        message = unpack_from_worker(self._link.recv(length, socket.MSG_WAITALL))
        self.received.append(message)
        return message

    def until(self, kind: type[Message], so: Callable[[Message], bool] = lambda _: True) -> Message:
        """Receive until there is a message of that kind that is `so`. AssertionError when the worker ends or at
        the deadline.
        """
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline and (message := self.receive()) is not None:
            if isinstance(message, kind) and so(message):
                return message
        raise AssertionError(f"no {kind.__name__} that was waited for; last was {self.received[-1:]}")

    def take_arrived(self) -> None:
        """Receive what has arrived already, and do not wait for more."""
        while select.select([self._link], [], [], 0)[0] and self.receive() is not None:
            pass

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """The process stands still (SIGSTOP) within the block; what it sent before has been received."""
        self.process.send_signal(signal.SIGSTOP)
        try:
            self.take_arrived()
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)

    def to_the_end(self) -> int:
        """Receive every message to the end; the exit status."""
        while self.receive() is not None:
            pass
        return self.process.wait(WITHIN_S)

    def stop(self) -> int:
        """Ask it to end, receive the rest; its exit status."""
        self.send(Stop(reason="over"))
        return self.to_the_end()

    def of(self, kind: type[Message]) -> list[Message]:
        """The received messages of a kind."""
        return [message for message in self.received if isinstance(message, kind)]

    def hang_up(self) -> None:
        """End-of-file for the worker."""
        self._link.close()
