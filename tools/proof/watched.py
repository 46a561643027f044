"""A vision worker as the supervisor starts it, whose memory was opened before it could lock itself down."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timezone
from pathlib import Path
from types import TracebackType

from device.domain.finding import Mode
from device.edges.process import worker_environment
from device.watchlist.folder import enrol
from device.watchlist.sealed import compose, seal
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
from device.worker.engine_room import EngineRoom
from device.worker.photos import EnginePhotoReader
from engines.cards import RECOGNISER_DEFAULT, card
from engines.places import CACHE_VARIABLE, cache_dir, models_dir
from tools.clip.spec import write_watchlist
from tools.proof.glass import Glass

GATED = (
    "import os, runpy, sys\n"
    "os.read(0, 1)\n"  # the memory is opened meanwhile
    "sys.argv = ['device.worker', sys.argv[1]]\n"
    "runpy.run_module('device.worker', run_name='__main__')\n"
)
WITHIN_S = 60.0
WHOLE_FRAME = ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0))


def assignment(place: Path, source: str, *, pace: str = "realtime", backend: str = "auto") -> Assignment:
    """A worker's task over `source`, with a list of one person (who does not pass); its files lie in `place`."""
    import pyrage

    room = EngineRoom(backend, threads=1)
    try:
        reader = EnginePhotoReader(room)
        enrolment = enrol(write_watchlist(place / "watchlist"), [reader], progress=False)
    finally:
        room.close()
    identity, hub = pyrage.x25519.Identity.generate(), pyrage.x25519.Identity.generate()
    listed = compose(
        enrolment,
        watchlist_id="wl-proof",
        deployment_id="proof",
        mode=Mode.TEST,
        created_at=datetime.now(timezone.utc),
        recogniser_sha256=card(RECOGNISER_DEFAULT).source.member_sha256,
        category="missing",
        image_source="custody",
    )
    sealed = place / "watchlist.age"
    sealed.write_bytes(seal(listed, [str(identity.to_public())]))
    return Assignment(
        protocol=PROTOCOL,
        mode=Mode.TEST,
        deployment_id="proof",
        camera=CameraAssignment(camera_id="front", source=source, pace=pace, zone=WHOLE_FRAME),
        vision=VisionAssignment(backend=backend, min_face_px=32.0, threshold=None, models_dir=str(models_dir())),
        watchlist=str(sealed),
        identity=str(identity),
        hub_recipient=str(hub.to_public()),
    )


class Watched:
    """One worker; a context manager. `before` is put in front of its command line (strace)."""

    def __init__(self, place: Path, *, before: Sequence[str] = ()) -> None:
        self._link, theirs = socket.socketpair()
        self._link.settimeout(WITHIN_S)
        self.process = subprocess.Popen(
            [*before, sys.executable, "-c", GATED, str(theirs.fileno())],
            pass_fds=(theirs.fileno(),),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=place,
            env={**worker_environment(os.environ), CACHE_VARIABLE: str(cache_dir())},
        )
        self.link_number = theirs.fileno()
        theirs.close()
        self.heard: list[FromWorker] = []
        self.glass = None if before else Glass(self.process.pid)
        assert self.process.stdin is not None
        self.process.stdin.write(b"\n")
        self.process.stdin.close()

    def __enter__(self) -> Watched:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._link.close()
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(WITHIN_S)
        for pipe in (self.process.stdout, self.process.stderr):
            if pipe is not None:
                pipe.close()
        if self.glass is not None:
            self.glass.close()

    def send(self, message: ToWorker) -> None:
        self._link.sendall(pack(message))

    def hear(self) -> FromWorker | None:
        """The next message; None at end-of-file."""
        try:
            head = self._link.recv(HEADER.size, socket.MSG_WAITALL)
        except ConnectionResetError:
            return None
        if not head:
            return None
        (length,) = HEADER.unpack(head)
        message = unpack_from_worker(self._link.recv(length, socket.MSG_WAITALL))
        self.heard.append(message)
        return message

    def until(self, what: Callable[[FromWorker], bool]) -> FromWorker:
        """Hear until a message is what is waited for. Raises AssertionError when the worker ends or it takes long."""
        deadline = time.monotonic() + WITHIN_S
        while time.monotonic() < deadline and (message := self.hear()) is not None:
            if what(message):
                return message
        raise AssertionError(f"what was waited for did not come; last was {self.heard[-1:]}")

    def stop(self) -> int:
        """Ask it to end, hear the rest; its exit status."""
        self.send(Stop(reason="over"))
        while self.hear() is not None:
            pass
        return self.process.wait(WITHIN_S)
