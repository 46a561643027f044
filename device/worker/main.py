"""The vision worker: one camera, one list, one link. Started by exec with the descriptor of its end of a socketpair.

1. Order: assignment, engines, watchlist, lock-down, hello, camera. No picture is processed before the lock-down.
   Engines may be open before the assignment (preparation.py).
2. End-of-file on the link, Stop, or a lease that has run out (lease.py) ends everything; every buffer is wiped before
   the process sends Finished.
3. An error is sent as one Fault with its remedy, a defect as its class and place alone; the exit status is that of its
   class.
4. Outside the evidence (device/recognition/operating_point.py) no camera is opened: WatchlistLoaded states why, and
   the worker waits for Stop.
"""

from __future__ import annotations

import os
import signal
import socket
import time
from collections import deque
from contextlib import ExitStack
from pathlib import Path

import msgspec
import numpy as np

from device.domain.finding import Candidate, Counters
from device.domain.sight import Frame
from device.domain.time import NS_PER_S
from device.edges.camera.capture_buffer import CaptureBuffer
from device.edges.camera.live import is_live, on_board, with_address
from device.edges.camera.picture_health import PictureHealth
from device.edges.host.process_memory import resident_bytes
from device.edges.sandbox.hardening import overwrite_text
from device.enrolment.model_sessions import ModelSessions
from device.errors import InternalError, LfrError, LinkBroken, WatchlistUnusable, reason_of
from device.ports.source import FrameSource
from device.recognition.build import pipeline_of
from device.recognition.candidate import ListedPerson
from device.recognition.detect_ahead import DetectAhead, frames_ahead, frames_held
from device.recognition.driving_loop import drive
from device.recognition.operating_point import OperatingPoint, Terms, engine_of, known_evidence, operating_point
from device.recognition.pipeline import Pipeline
from device.watchlist.gallery import Gallery
from device.watchlist.sealed import SealedWatchlist, require_mode, require_models, sha256_of, unseal
from device.wire.link import (
    PROTOCOL,
    Assignment,
    Beat,
    CandidateRaised,
    Commission,
    Fault,
    Finished,
    Hello,
    Stop,
    View,
    ViewPicture,
    VolunteerRecognised,
    WatchlistLoaded,
    Withdraw,
    Withdrawn,
    WithdrawVolunteers,
)
from device.worker.camera import load_lazy_libraries, needs_of, open_source, pace_of
from device.worker.commissioning import CommissioningWorker
from device.worker.defect import defect_text
from device.worker.journal import JournalSender
from device.worker.lease import LeaseWatch
from device.worker.link_end import LinkEnd
from device.worker.live_view import LiveView
from device.worker.lockdown import Camera, begin, lock_down
from device.worker.open_volunteers import open_volunteers
from device.worker.preparation import Prepared
from device.worker.sealed_probe import ProbeSealer

ASSIGNMENT_WITHIN_S = 30.0
BEAT_EVERY_NS = NS_PER_S // 4
RECENT = 256  # samples in a beat's figures: some ten seconds
STOP_POLL_S = 0.25


def main(argv: list[str]) -> int:
    """Run to the end; returns the exit status."""
    granted = begin()  # before the link's thread, so that the restrictions hold for every thread
    for number in (signal.SIGINT, signal.SIGHUP):  # the supervisor handles these; it stops the worker over the link
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)  # ends the process (lease.py, rule 4)
    link = LinkEnd(socket.socket(fileno=int(argv[1])))
    try:
        prepared = Prepared()
        assignment = prepared.first_message(link, ASSIGNMENT_WITHIN_S)
        if assignment is None and prepared.idle and link.fault is None:
            return 0  # the supervisor does not need this worker
        if not isinstance(assignment, Assignment | Commission) or assignment.protocol != PROTOCOL:
            raise link.fault or LinkBroken(f"no assignment of protocol {PROTOCOL} within {ASSIGNMENT_WITHIN_S:.0f} s")
        if isinstance(assignment, Commission):
            prepared.close()
            CommissioningWorker(assignment, link, granted).run()
            return 0
        VisionWorker(assignment, link, granted, prepared).run()
        return 0
    except LfrError as fault:
        return _report_fault(link, fault)
    except Exception as fault:
        return _report_fault(link, InternalError(defect_text(fault)))


def _report_fault(link: LinkEnd, fault: LfrError) -> int:
    link.send(Fault(error=type(fault).__name__, text=str(fault), exit_status=fault.exit_status))
    return fault.exit_status


class VisionWorker:
    """One assignment, from the first engine to the last wiped buffer."""

    def __init__(self, assignment: Assignment, link: LinkEnd, granted: dict[str, bool], prepared: Prepared) -> None:
        self._assignment = assignment
        self._granted = granted
        self._prepared = prepared
        self._link = link
        self._sealer = ProbeSealer(assignment.hub_recipient)
        self._journal = JournalSender(link.send)
        self._view = LiveView()
        self._room: ModelSessions | None = None
        self._gallery: Gallery | None = None
        self._volunteers: Gallery | None = None
        self._stop: str | None = None
        self._beats = 0
        self._last_beat_ns = 0
        self._frames_then = 0
        self._seen = ("", "")

    def run(self) -> None:
        """Rule 1, top to bottom."""
        task = self._assignment
        self._room = room = self._prepared.take(task.vision)
        listed, digest = _open_list(task, room)
        self._volunteers = open_volunteers(task.volunteers, task.identity, room, self._journal)
        self._assignment = msgspec.structs.replace(task, identity="")
        overwrite_text(task.identity)
        self._gallery = gallery = listed.gallery(screen_dim=room.recognisers.screen_dim)
        gone = gallery.withdraw(task.withdrawn)
        point = self._operating_point(room, listed)
        address = with_address(task.camera.source)
        pipeline = pipeline_of(
            room,
            gallery,
            threshold=point.threshold,
            min_face_px=task.vision.min_face_px,
            packed=on_board(address),
            people=_people(listed, task.categories),
            zone=task.camera.zone,
            volunteers=self._volunteers,
        )
        pipeline.wipe()  # the first inference is the slow one; here it is on a blank
        load_lazy_libraries()
        self._send_hello(room, listed, digest, point, needs_of(address, task.vision))
        if gone:
            self._link.send(Withdrawn(entries=gone))
        del listed  # what is searched is the gallery's; see device/README.md for what cannot be zeroed
        if point.problem:  # rule 4
            self._journal.outside_evidence()
            self._wait_for_stop()
            room.close()
            self._wipe_lists()
            self._link.send(Finished(reason=self._stop or "outside the evidence", counters=pipeline.counters))
            return
        with LeaseWatch(self._link, task.lease_s, self._wipe_lists):
            source = self._opened(address)
            pace = pace_of(source, task.camera.pace)
            ahead = frames_ahead(one_thread=room.one_thread, pace=pace)
            health = PictureHealth(size=task.camera.size, anybody_in_view=lambda: pipeline.anybody_in_view)
            held = frames_held(ahead)
            feed = CaptureBuffer(source, pace=pace, frames_held=held, wanted=pipeline.due, health=health)
            looking = DetectAhead(feed, pipeline.look, ahead=ahead, pressed=pipeline.pressed)
            with ExitStack() as ending:  # last in, first out; one that fails does not keep the others from wiping
                for step in (room.close, self._wipe_lists, pipeline.finish, feed.close, looking.close):
                    ending.callback(step)
                if source.info.width and source.info.height:
                    pipeline.prepare(source.info.width, source.info.height)
                self._watch(pipeline, feed, looking)
        if self._link.fault is not None:
            raise self._link.fault
        self._link.send(Finished(reason=self._stop or "the recording ended", counters=pipeline.counters))

    def _send_hello(
        self, room: ModelSessions, listed: SealedWatchlist, digest: str, point: OperatingPoint, camera: Camera
    ) -> None:
        detector, recogniser = room.detector_card, room.recognisers
        agreement = room.self_test()  # before the lock-down: it reads a file
        self._link.send(
            Hello(
                protocol=PROTOCOL,
                pid=os.getpid(),
                backend=room.backend,
                detector=detector.name,
                recogniser=recogniser.name,
                detector_sha256=detector.source_sha256,
                recogniser_sha256=recogniser.source_sha256,
                self_test=agreement,
                protections={**self._granted, **lock_down(camera)},
            )
        )
        self._link.send(
            WatchlistLoaded(
                watchlist_id=listed.watchlist_id,
                sha256=digest,
                subjects=listed.subjects,
                images=listed.images,
                threshold=point.threshold,
                threshold_source=point.source,
                predicted_far=point.predicted,
                predicted_far_bound=point.bound,
                false_alert_limit=self._assignment.vision.false_alert_limit,
                outside_evidence=point.problem,
                incomplete=_incomplete(listed, self._assignment.categories),
            )
        )
        self._journal.engines(room.backend, detector.name, recogniser.name)

    def _operating_point(self, room: ModelSessions, listed: SealedWatchlist) -> OperatingPoint:
        """The threshold for this list, or why there is none."""
        vision = self._assignment.vision
        engine = engine_of(room.detector_card, room.recognisers, room.backend)
        terms = Terms(
            threshold=vision.threshold,
            evidence=Path(vision.evidence) if vision.evidence else None,
            keys=Path(vision.evidence_keys) if vision.evidence_keys else None,
            limit=vision.false_alert_limit,
        )
        return operating_point([len(entry.rows) for entry in listed.entries], known_evidence(engine, terms), terms)

    def _opened(self, address: str) -> FrameSource:
        if is_live(address):
            self._journal.opening()
        source = open_source(address)
        self._journal.opened(source)
        return source

    def _wipe_lists(self) -> None:
        """Zero every template of watchlist and blue list."""
        for listed in (self._gallery, self._volunteers):
            if listed is not None:
                listed.wipe()

    def _wait_for_stop(self) -> None:
        """No camera is opened: wait until the supervisor stops this worker."""
        while self._stop is None and not self._link.gone.is_set():
            self._handle_message(STOP_POLL_S)

    def _watch(self, pipeline: Pipeline, feed: CaptureBuffer, looking: DetectAhead) -> None:
        """Drive the pipeline until the source ends or the supervisor stops it (rule 2)."""
        while self._handle_message(0.0):  # entries that were withdrawn while this worker started are never compared
            pass
        drive(
            pipeline,
            looking,
            on_candidates=lambda candidates: self._send_candidates(pipeline, candidates),
            after_frame=lambda: self._serve(pipeline, feed, looking),
            idle=lambda: self._serve(pipeline, feed, looking),
            spare=lambda frame: self._show(frame, feed),
        )
        pipeline.finish()
        _count_frames(pipeline.counters, feed)

    def _send_candidates(self, pipeline: Pipeline, candidates: list[Candidate]) -> None:
        """Send each candidate with its probe, which is sealed here and not kept."""
        for candidate in candidates:
            shot = pipeline.shot(candidate.passage)
            probe = None if shot is None else self._sealer.seal(shot)
            self._link.send(CandidateRaised(candidate=candidate, probe=probe))
        for finding in pipeline.volunteers_seen():
            self._link.send(VolunteerRecognised(finding=finding))

    def _show(self, frame: Frame, feed: CaptureBuffer) -> None:
        """Send a picture of the live view when one is due and recognition is not late."""
        sealed = self._view.picture(frame, dropped=feed.dropped, now_ns=time.monotonic_ns())
        if sealed is not None:
            self._link.send(ViewPicture(sealed=sealed))

    def _serve(self, pipeline: Pipeline, feed: CaptureBuffer, looking: DetectAhead) -> None:
        """Between two frames: handle messages, wipe after a stall, send a beat when it is due or the camera changed."""
        while self._handle_message(0.0):
            pass
        if self._stop is not None or self._link.gone.is_set():
            looking.close()
        if feed.stalled:
            pipeline.stalled()
            feed.blank()
        now, seen = time.monotonic_ns(), (feed.state(), feed.warning)
        if now - self._last_beat_ns < BEAT_EVERY_NS and seen == self._seen:
            return
        self._seen = seen
        elapsed = (now - self._last_beat_ns) / NS_PER_S
        _count_frames(pipeline.counters, feed)
        stages = {**pipeline.times.ms, "decode": feed.decode_ms}
        beat = Beat(
            seq=self._beats,
            camera=seen[0],
            fps=(feed.decoded - self._frames_then) / elapsed if self._beats else 0.0,
            counters=pipeline.counters,
            stage_p95_ms={name: float(np.percentile(recent(ms), 95)) for name, ms in stages.items() if ms},
            rss_bytes=resident_bytes() or 0,
            gpu_free_bytes=None if self._room is None else self._room.gpu_free_bytes,
            damaged_share=feed.damaged_share,
            warning=seen[1],
            size=feed.size,
        )
        self._link.send(beat)
        self._journal.beat(beat, still=feed.stalled, now_ns=now)
        self._beats, self._last_beat_ns, self._frames_then = self._beats + 1, now, feed.decoded

    def _handle_message(self, timeout_s: float) -> bool:
        """Handle one message of the supervisor; False when there was none."""
        message = self._link.receive(timeout_s)
        if isinstance(message, Withdraw) and self._gallery is not None:
            self._link.send(Withdrawn(entries=self._gallery.withdraw(message.refs)))
        elif isinstance(message, View):
            self._view.renew(message.recipient, time.monotonic_ns())
        elif isinstance(message, WithdrawVolunteers) and self._volunteers is not None:
            self._volunteers.withdraw(message.refs)
        elif isinstance(message, Stop):
            self._stop = message.reason
        return message is not None


def _open_list(task: Assignment, room: ModelSessions) -> tuple[SealedWatchlist, str]:
    path = Path(task.watchlist)
    try:
        sealed = path.read_bytes()
    except OSError as fault:
        raise WatchlistUnusable(f"{path}: {reason_of(fault)}; sync the deployment again") from fault
    listed = unseal(sealed, task.identity)
    require_mode(listed, task.mode)
    require_models(listed, room.detector_card.source_sha256, room.recognisers.source_sha256)
    return listed, sha256_of(sealed)


def _people(listed: SealedWatchlist, categories: dict[str, float]) -> list[ListedPerson]:
    return [
        ListedPerson(
            e.ref,
            e.category,
            e.image_source,
            e.image_captured_on.isoformat() if e.image_captured_on else None,
            threshold_offset=categories.get(e.category, 0.0),
        )
        for e in listed.entries
    ]


def _incomplete(listed: SealedWatchlist, categories: dict[str, float]) -> int:
    """Entries without a category of the deployment (any will do when it names none), or without an image source."""
    return sum(
        not (e.category.strip() and e.image_source.strip()) or bool(categories and e.category not in categories)
        for e in listed.entries
    )


def _count_frames(counters: Counters, feed: CaptureBuffer) -> None:
    """Copy the feed's counts of frames."""
    counters.frames, counters.dropped_frames, counters.damaged_frames = feed.decoded, feed.dropped, feed.damaged


def recent(samples: deque[float]) -> list[float]:
    """The last RECENT samples, while other threads add to them: a copy in one call, which none of them interrupts.

    An iterator that was made before another thread's sample ends with RuntimeError.
    """
    return list(samples)[-RECENT:]
