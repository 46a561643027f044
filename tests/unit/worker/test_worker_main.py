"""The worker as a process over a real socketpair, with the real models and the short clip."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, TypeVar

import cv2
import numpy as np
import pyrage
import pytest
from msgspec import structs

from device.domain.finding import Mode
from device.edges.process import worker_environment
from device.watchlist.folder import enrol
from device.watchlist.sealed import compose, seal
from device.wire.link import (
    HEADER,
    PROTOCOL,
    Assignment,
    Beat,
    CameraAssignment,
    CandidateRaised,
    Fault,
    Finished,
    FromWorker,
    Hello,
    Probe,
    ProbeWanted,
    Said,
    Stop,
    ToWorker,
    VisionAssignment,
    WatchlistLoaded,
    pack,
    unpack_from_worker,
)
from device.wire.sayings import wording_of
from device.worker.engine_room import EngineRoom
from device.worker.photos import EnginePhotoReader
from engines.cards import DETECTOR_DEFAULT, RECOGNISER_DEFAULT, card
from engines.places import CACHE_VARIABLE, cache_dir
from tools.clip.spec import write_watchlist

BACKEND = "auto"
STARTS_WITHIN_S = 30.0
ENDS_WITHIN_S = 60.0
STOPS_WITHIN_S = 3.0
Message = TypeVar("Message")


@dataclass(frozen=True)
class Deployment:
    """What a worker is given: clip, sealed list, keys."""

    task: Assignment
    hub: Any
    place: Path
    truth: dict[str, Any]


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory, clip: Path, models_ready: Path) -> Deployment:
    place = tmp_path_factory.mktemp("deployment")
    room = EngineRoom(BACKEND, threads=1)
    reader = EnginePhotoReader(room)
    enrolment = enrol(write_watchlist(place / "watchlist"), [reader], progress=False)
    reader.close()
    room.close()
    identity, hub = pyrage.x25519.Identity.generate(), pyrage.x25519.Identity.generate()
    listed = compose(
        enrolment,
        watchlist_id="wl-1",
        deployment_id="test-1",
        mode=Mode.TEST,
        created_at=datetime(2026, 11, 23, tzinfo=timezone.utc),
        recogniser_sha256=card(RECOGNISER_DEFAULT).source.member_sha256,
        category="missing",
        image_source="custody",
    )
    sealed = place / "watchlist.age"
    sealed.write_bytes(seal(listed, [str(identity.to_public())]))
    task = Assignment(
        protocol=PROTOCOL,
        mode=Mode.TEST,
        deployment_id="test-1",
        camera=CameraAssignment(
            camera_id="front", source=str(clip), pace="full", zone=((0, 0), (1, 0), (1, 1), (0, 1))
        ),
        vision=VisionAssignment(backend=BACKEND, min_face_px=32.0, threshold=None, models_dir=str(models_ready)),
        watchlist=str(sealed),
        identity=str(identity),
        hub_recipient=str(hub.to_public()),
    )
    return Deployment(task, hub, place, json.loads(clip.with_suffix(".truth.json").read_text()))


class Supervised:
    """One worker process and this end of its link; every wait has a deadline."""

    def __init__(self, cwd: Path, *, given: tuple[int, ...] = ()) -> None:
        """`given`: other open files that it inherits."""
        self._link, theirs = socket.socketpair()
        self._link.settimeout(ENDS_WITHIN_S)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "device.worker", str(theirs.fileno())],
            pass_fds=(theirs.fileno(), *given),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=cwd,
            env={**worker_environment(os.environ), "HOME": str(cwd), CACHE_VARIABLE: str(cache_dir())},
        )
        theirs.close()
        self.heard: list[FromWorker] = []

    def send(self, message: ToWorker) -> None:
        self._link.sendall(pack(message))

    def raw(self, data: bytes) -> None:
        self._link.sendall(data)

    def hear(self) -> FromWorker | None:
        """The next message; None at end-of-file, which is a reset when the worker left something of ours unread."""
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

    def until(self, kind: type[Message]) -> Message:
        while (message := self.hear()) is not None:
            if isinstance(message, kind):
                return message
        raise AssertionError(f"the worker ended without {kind.__name__}: {self.heard[-1:]}")

    def to_the_end(self) -> int:
        """Hear all, answer every new candidate by asking for its probe; the exit status."""
        while (message := self.hear()) is not None:
            if isinstance(message, CandidateRaised) and message.candidate.revision == 0:
                self.send(ProbeWanted(passage=message.candidate.passage, alert_id=f"alert-{message.candidate.passage}"))
        return self.process.wait(ENDS_WITHIN_S)

    def of(self, kind: type[Message]) -> list[Message]:
        return [message for message in self.heard if isinstance(message, kind)]

    def hang_up(self) -> None:
        self._link.close()

    def close(self) -> None:
        self._link.close()
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(ENDS_WITHIN_S)
        for pipe in (self.process.stdout, self.process.stderr):
            if pipe is not None:
                pipe.close()


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[Supervised]:
    started = Supervised(tmp_path)
    yield started
    started.close()


def camera(task: Assignment, **changes: Any) -> Assignment:
    fields = {name: getattr(task.camera, name) for name in ("camera_id", "source", "pace", "zone")}
    parts = {name: getattr(task, name) for name in task.__struct_fields__}
    return Assignment(**{**parts, "camera": CameraAssignment(**{**fields, **changes})})


def changed(task: Assignment, **changes: Any) -> Assignment:
    return Assignment(**{**{name: getattr(task, name) for name in task.__struct_fields__}, **changes})


# ── one whole run, heard to the end ───────────────────────────────────────────────────────────────────────────────────
@dataclass(frozen=True)
class Run:
    """A finished run."""

    heard: list[FromWorker]
    status: int
    stdout: bytes
    left: list[str]

    def of(self, kind: type[Message]) -> list[Message]:
        return [message for message in self.heard if isinstance(message, kind)]


@pytest.fixture(scope="module")
def whole_run(deployment: Deployment, tmp_path_factory: pytest.TempPathFactory) -> Run:
    cwd = tmp_path_factory.mktemp("cwd")
    one = Supervised(cwd)
    try:
        one.send(deployment.task)
        status = one.to_the_end()
        assert one.process.stdout is not None
        return Run(one.heard, status, one.process.stdout.read(), [path.name for path in cwd.iterdir()])
    finally:
        one.close()


def test_it_says_hello_first_then_the_list_and_finished_last(whole_run: Run) -> None:
    kinds = [type(message) for message in whole_run.heard]
    assert kinds[:2] == [Hello, WatchlistLoaded]
    assert kinds[-1] is Finished
    assert kinds.count(Hello) == kinds.count(WatchlistLoaded) == kinds.count(Finished) == 1
    assert Fault not in kinds
    assert whole_run.status == 0


def test_hello_names_models_backend_and_protections(whole_run: Run) -> None:
    (hello,) = whole_run.of(Hello)
    assert hello.protocol == PROTOCOL
    assert hello.backend.partition(":")[0] in {"openvino", "onnxruntime"}
    assert hello.detector == DETECTOR_DEFAULT
    assert hello.recogniser == RECOGNISER_DEFAULT
    assert hello.recogniser_sha256 == card(RECOGNISER_DEFAULT).source.member_sha256
    assert hello.self_test == ""
    assert hello.protections["no_file_writes"]
    assert hello.protections["core_limit_0"]
    assert hello.protections["not_dumpable"]


def test_it_says_what_it_opened_in_words_that_the_supervisor_knows(whole_run: Run, clip: Path) -> None:
    said = whole_run.of(Said)
    assert [wording_of(message.text) for message in said][:2] == ["engines", "opened"]
    assert None not in [wording_of(message.text) for message in said]
    assert said[1].text == "recording opened: 1280 x 720 pixels, 25 Hz"


def test_the_list_is_told_with_the_digest_of_the_sealed_file(whole_run: Run, deployment: Deployment) -> None:
    (loaded,) = whole_run.of(WatchlistLoaded)
    assert loaded.sha256 == hashlib.sha256(Path(deployment.task.watchlist).read_bytes()).hexdigest()
    assert (loaded.watchlist_id, loaded.subjects, loaded.images) == ("wl-1", 1, 1)
    assert loaded.threshold_source.startswith("evidence sface-2021dec/")
    assert 0 < (loaded.predicted_far or 0) < (loaded.predicted_far_bound or 0) <= loaded.false_alert_limit == 0.001


def test_outside_the_evidence_no_camera_is_opened(worker: Supervised, deployment: Deployment) -> None:
    worker.send(changed(deployment.task, vision=structs.replace(deployment.task.vision, threshold=0.2)))
    assert "outside the tested band" in worker.until(WatchlistLoaded).outside_evidence
    worker.send(Stop(reason="over"))
    assert worker.until(Finished).counters.frames == 0


def test_the_listed_persons_two_passages_are_raised_and_nobody_elses(whole_run: Run, deployment: Deployment) -> None:
    raised = [message.candidate for message in whole_run.of(CandidateRaised)]
    truth = [passage for passage in deployment.truth["passages"] if passage["listed"]]
    firsts = [c for c in raised if c.revision == 0]
    assert len(firsts) == len(truth) == 2
    for candidate, passage in zip(firsts, truth, strict=True):
        assert passage["first"] <= candidate.frame <= passage["last"]
    assert {(c.entry_ref, c.category, c.image_source) for c in raised} == {("obama", "missing", "custody")}
    assert all(c.score >= c.threshold > 0.458 for c in raised)
    assert all(c.frame_size == (1280, 720) for c in raised)
    for passage in {c.passage for c in raised}:
        assert [c.revision for c in raised if c.passage == passage] == list(
            range(sum(c.passage == passage for c in raised))
        )


def test_each_alert_gets_the_probe_it_asked_for_and_only_the_hub_can_open_it(
    whole_run: Run, deployment: Deployment
) -> None:
    raised = {message.candidate.passage for message in whole_run.of(CandidateRaised)}
    probes = whole_run.of(Probe)
    assert {probe.passage for probe in probes} == raised
    for probe in probes:
        assert probe.alert_id == f"alert-{probe.passage}"
        assert hashlib.sha256(probe.ciphertext).hexdigest() == probe.sha256
        jpeg = pyrage.decrypt(probe.ciphertext, [deployment.hub])
        shown = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
        assert shown.shape == (160, 160, 3)
        assert shown.std() > 20


def test_the_counts_balance(whole_run: Run, deployment: Deployment) -> None:
    (finished,) = whole_run.of(Finished)
    counters = finished.counters
    assert counters.frames == deployment.truth["frames"]
    assert counters.dropped_frames == 0
    assert counters.faces_seen == counters.discarded + counters.alerted
    assert counters.alerted == sum(passage["listed"] for passage in deployment.truth["passages"])
    assert counters.faces_seen > 10
    assert counters.open_passages == 0
    assert sum(counters.score_histogram) == counters.faces_seen


def test_beats_come_several_times_and_are_numbered(whole_run: Run) -> None:
    beats = whole_run.of(Beat)
    assert [beat.seq for beat in beats] == list(range(len(beats)))
    assert len(beats) >= 3
    assert beats[-1].camera in {"online", "ended"}
    assert beats[-1].rss_bytes < 400 * 2**20
    assert set(beats[-1].stage_p95_ms) == {"decode", "detect", "track", "align", "embed", "match"}


def test_it_writes_nothing_to_stdout_and_no_file_in_its_folder_home_or_cache(whole_run: Run) -> None:
    """Runtimes that report home leave an identifier there first."""
    assert whole_run.stdout == b""
    assert whole_run.left == []


# ── stopping ──────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_stop_in_mid_run_is_obeyed_at_once_and_the_counts_balance(worker: Supervised, deployment: Deployment) -> None:
    worker.send(camera(deployment.task, pace="realtime"))
    worker.until(Beat)
    worker.until(Beat)
    since = time.monotonic()
    worker.send(Stop(reason="the sign is dark"))
    finished = worker.until(Finished)
    assert time.monotonic() - since < STOPS_WITHIN_S
    assert worker.hear() is None
    assert worker.process.wait(STOPS_WITHIN_S) == 0
    assert finished.reason == "the sign is dark"
    assert finished.counters.faces_seen == finished.counters.discarded + finished.counters.alerted
    assert finished.counters.frames < deployment.truth["frames"]


def test_end_of_file_in_mid_run_ends_the_process(worker: Supervised, deployment: Deployment) -> None:
    worker.send(camera(deployment.task, pace="realtime"))
    worker.until(Beat)
    since = time.monotonic()
    worker.hang_up()
    assert worker.process.wait(STOPS_WITHIN_S) == 0
    assert time.monotonic() - since < STOPS_WITHIN_S


def test_end_of_file_before_the_assignment_ends_the_process(worker: Supervised) -> None:
    worker.hang_up()
    assert worker.process.wait(STARTS_WITHIN_S / 3) == 70


def test_a_ctrl_c_in_the_terminal_is_the_supervisors_to_hear(worker: Supervised, deployment: Deployment) -> None:
    worker.send(camera(deployment.task, pace="realtime"))
    worker.until(Beat)
    os.kill(worker.process.pid, signal.SIGINT)
    worker.until(Beat)
    worker.send(Stop(reason="over"))
    assert worker.until(Finished).reason == "over"


# ── what goes wrong is one Fault with the exit status of its class ────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("wrong", "error", "status"),
    [
        ({"identity": "other"}, "WatchlistUnusable", 65),
        ({"identity": "AGE-SECRET-KEY-1NONSENSE"}, "WatchlistUnusable", 65),
        ({"watchlist": "missing"}, "WatchlistUnusable", 65),
        ({"hub_recipient": "age1nonsense"}, "InternalError", 70),
        ({"protocol": PROTOCOL + 1}, "LinkBroken", 70),
        ({"vision": "tensorflow"}, "UsageError", 64),
    ],
)
def test_what_cannot_be_done_is_one_fault_and_no_hello(
    wrong: dict[str, Any], error: str, status: int, worker: Supervised, deployment: Deployment, tmp_path: Path
) -> None:
    if wrong.get("identity") == "other":
        wrong = {"identity": str(pyrage.x25519.Identity.generate())}
    if "watchlist" in wrong:
        wrong = {"watchlist": str(tmp_path / "no such list.age")}
    if "vision" in wrong:
        vision = VisionAssignment(backend="tensorflow", min_face_px=32.0, threshold=None, models_dir="/")
        wrong = {"vision": vision}
    worker.send(changed(deployment.task, **wrong))
    assert worker.to_the_end() == status
    (fault,) = worker.heard
    assert isinstance(fault, Fault)
    assert (fault.error, fault.exit_status) == (error, status)
    assert "AGE-SECRET-KEY" not in fault.text


def test_a_missing_source_is_a_fault_after_the_list_was_opened(worker: Supervised, deployment: Deployment) -> None:
    worker.send(camera(deployment.task, source=str(deployment.place / "no such clip.mp4")))
    assert worker.to_the_end() == 65
    assert [type(message) for message in worker.heard] == [Hello, WatchlistLoaded, Said, Fault]
    (fault,) = worker.of(Fault)
    assert (fault.error, fault.exit_status) == ("SourceUnreadable", 65)
    assert "no such clip.mp4" in fault.text


def test_garbage_on_the_link_in_mid_run_is_a_fault_and_not_the_end_of_the_recording(
    worker: Supervised, deployment: Deployment
) -> None:
    worker.send(camera(deployment.task, pace="realtime"))
    worker.until(Beat)
    worker.raw(HEADER.pack(5) + b"hello")
    assert worker.to_the_end() == 70
    assert [fault.error for fault in worker.of(Fault)] == ["LinkBroken"]
    assert worker.of(Finished) == []
