"""The commissioning view's worker: a camera and a detector, no list and no recogniser, for who sets up a camera.

1. It starts with Commission instead of Assignment; order and lock-down are those of the vision worker (main.py).
2. Faces are detected, and shown as the heights of their boxes at the cells of a view (live_view.py). None is compared,
   counted or kept.
3. It ends with Stop, with its link, or with its lease, and wipes.
"""

from __future__ import annotations

import os
import time
from contextlib import ExitStack
from pathlib import Path

from device.domain.finding import Counters
from device.domain.sight import Frame
from device.domain.time import NS_PER_S, MediaNs
from device.edges.camera.capture_buffer import CaptureBuffer, End
from device.edges.camera.live import with_address
from device.edges.camera.picture_health import PictureHealth
from device.edges.host.process_memory import resident_bytes
from device.enrolment.model_sessions import ModelSessions
from device.vision.face_front_end import HostFrontEnd
from device.wire.link import PROTOCOL, Beat, Commission, Finished, Hello, Stop, View, ViewPicture
from device.worker.camera import load_lazy_libraries, needs_of, open_source, pace_of
from device.worker.journal import JournalSender
from device.worker.lease import LeaseWatch
from device.worker.link_end import LinkEnd
from device.worker.live_view import LiveView, Marks
from device.worker.lockdown import lock_down

BEAT_EVERY_NS = NS_PER_S // 4
LOOK_EVERY_NS = NS_PER_S // 2
WAIT_S = 0.1


class CommissioningWorker:
    """One Commission, from the detector to the last wiped buffer."""

    def __init__(self, task: Commission, link: LinkEnd, granted: dict[str, bool]) -> None:
        self._task = task
        self._link = link
        self._granted = granted
        self._view = LiveView()
        self._journal = JournalSender(link.send)
        self._stop: str | None = None
        self._beats = 0
        self._last_beat_ns = 0
        self._last_due: MediaNs | None = None

    def run(self) -> None:
        """Rule 1, top to bottom."""
        camera, vision = self._task.camera, self._task.vision
        room = ModelSessions(vision.backend, threads=1, models=Path(vision.models_dir), detector=vision.detector)
        front_end = HostFrontEnd(
            room.detector, room.refiner(), {}, recognisers=room.recognisers, min_face_px=vision.min_face_px
        )
        address = with_address(camera.source)
        load_lazy_libraries()
        self._send_hello(room, {**self._granted, **lock_down(needs_of(address, vision))})
        with LeaseWatch(self._link, self._task.lease_s, lambda: None), ExitStack() as ending:
            for step in (room.close, front_end.wipe_view):
                ending.callback(step)
            source = open_source(address)
            self._journal.opened(source)
            health = PictureHealth(size=camera.size, anybody_in_view=lambda: False)
            pace = pace_of(source, "realtime")
            feed = CaptureBuffer(source, pace=pace, frames_held=1, wanted=self._due, health=health)
            ending.callback(feed.close)
            self._watch(front_end, feed)
        if self._link.fault is not None:
            raise self._link.fault
        self._link.send(Finished(reason=self._stop or "the recording ended", counters=Counters()))

    def _send_hello(self, room: ModelSessions, protections: dict[str, bool]) -> None:
        detector = room.detector_card
        self._link.send(
            Hello(
                protocol=PROTOCOL,
                pid=os.getpid(),
                backend=room.backend,
                detector=detector.name,
                recogniser="none",
                detector_sha256=detector.source_sha256,
                recogniser_sha256="",
                self_test="",
                protections=protections,
            )
        )

    def _due(self, frame: Frame) -> bool:
        """Two frames a second are enough."""
        if self._last_due is not None and 0 <= frame.at - self._last_due < LOOK_EVERY_NS:
            return False
        self._last_due = frame.at
        return True

    def _watch(self, front_end: HostFrontEnd, feed: CaptureBuffer) -> None:
        vision, zone = self._task.vision, self._task.camera.zone
        while self._serve(feed):
            taken = feed.take(WAIT_S)
            if isinstance(taken, End):
                return
            if taken is None:
                continue
            faces = front_end.look(taken)
            marks = Marks(faces, vision.min_face_px, zone)
            sealed = self._view.picture(taken, dropped=feed.dropped, now_ns=time.monotonic_ns(), marks=marks)
            if sealed is not None:
                self._link.send(ViewPicture(sealed=sealed))

    def _serve(self, feed: CaptureBuffer) -> bool:
        """Handle messages and send a beat when it is due; False when the worker has to end (rule 3)."""
        while (message := self._link.receive(0.0)) is not None:
            if isinstance(message, Stop):
                self._stop = message.reason
            elif isinstance(message, View):
                self._view.renew(message.recipient, time.monotonic_ns())
        now = time.monotonic_ns()
        if now - self._last_beat_ns >= BEAT_EVERY_NS:
            self._last_beat_ns = now
            beat = Beat(
                seq=self._beats,
                camera=feed.state(),
                fps=0.0,
                counters=Counters(),
                stage_p95_ms={},
                rss_bytes=resident_bytes() or 0,
                warning=feed.warning,
                size=feed.size,
            )
            self._link.send(beat)
            self._beats += 1
        return self._stop is None and not self._link.gone.is_set()
