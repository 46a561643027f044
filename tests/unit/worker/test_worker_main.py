"""The worker as a process over a real socketpair, with the real models and the short clip."""

from __future__ import annotations

import hashlib
import json
import os
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import cv2
import numpy as np
import pyrage
import pytest
from msgspec import structs

from device.wire.journal_texts import name_of
from device.wire.link import (
    HEADER,
    PROTOCOL,
    Assignment,
    Beat,
    CandidateRaised,
    Commission,
    Fault,
    Finished,
    FromWorker,
    Hello,
    JournalLine,
    Stop,
    View,
    ViewPicture,
    VisionAssignment,
    WatchlistLoaded,
)
from device.wire.view_content import unpack_view
from device.worker.live_view import COLUMNS, ROWS
from engines.cards.catalogue import card
from engines.cards.model_card import DETECTOR_DEFAULT, RECOGNISER_DEFAULT
from tests.machine_time import MachineTime
from tools.dev.proof.worker import Given, WorkerProcess

pytestmark = pytest.mark.slow

STARTS_WITHIN_S = 30.0
STOPS_WITHIN_S = 6.0
Message = TypeVar("Message")


def truth_of(deployment: Given) -> Any:
    """Ground truth of its clip."""
    return json.loads(Path(deployment.task.camera.source).with_suffix(".truth.json").read_text())


def camera(task: Assignment, **changes: Any) -> Assignment:
    return structs.replace(task, camera=structs.replace(task.camera, **changes))


# ── one whole run, received to the end ────────────────────────────────────────────────────────────────────────────────
@dataclass(frozen=True)
class Run:
    """A finished run."""

    received: list[FromWorker]
    status: int
    stdout: bytes
    left: list[str]

    def of(self, kind: type[Message]) -> list[Message]:
        return [message for message in self.received if isinstance(message, kind)]


@pytest.fixture(scope="module")
def whole_run(deployment: Given, tmp_path_factory: pytest.TempPathFactory) -> Run:
    cwd = tmp_path_factory.mktemp("cwd")
    with WorkerProcess(cwd) as one:
        one.send(deployment.task)
        status = one.to_the_end()
        assert one.process.stdout is not None
        return Run(one.received, status, one.process.stdout.read(), [path.name for path in cwd.iterdir()])


def test_it_sends_hello_first_then_the_list_and_finished_last(whole_run: Run) -> None:
    kinds = [type(message) for message in whole_run.received]
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


def test_it_logs_what_it_opened_in_texts_that_the_supervisor_knows(whole_run: Run, clip: Path) -> None:
    said = whole_run.of(JournalLine)
    assert [name_of(message.text) for message in said][:2] == ["engines", "opened"]
    assert None not in [name_of(message.text) for message in said]
    assert said[1].text == "recording opened: 1280 x 720 pixels, 25 Hz"


def test_the_list_is_reported_with_the_digest_of_the_sealed_file(whole_run: Run, deployment: Given) -> None:
    (loaded,) = whole_run.of(WatchlistLoaded)
    assert loaded.sha256 == hashlib.sha256(Path(deployment.task.watchlist).read_bytes()).hexdigest()
    assert (loaded.watchlist_id, loaded.subjects, loaded.images) == ("wl-1", 1, 1)
    assert loaded.threshold_source.startswith("evidence sface-2021dec/")
    assert 0 < (loaded.predicted_far or 0) < (loaded.predicted_far_bound or 0) <= loaded.false_alert_limit == 0.001


def test_outside_the_evidence_no_camera_is_opened(worker: WorkerProcess, deployment: Given) -> None:
    worker.send(structs.replace(deployment.task, vision=structs.replace(deployment.task.vision, threshold=0.2)))
    assert "outside the tested band" in worker.until(WatchlistLoaded).outside_evidence
    worker.send(Stop(reason="over"))
    assert worker.until(Finished).counters.frames == 0


def test_the_listed_persons_two_passages_are_raised_and_nobody_elses(whole_run: Run, deployment: Given) -> None:
    raised = [message.candidate for message in whole_run.of(CandidateRaised)]
    truth = [passage for passage in truth_of(deployment)["passages"] if passage["listed"]]
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


def test_each_candidate_comes_with_its_probe_and_only_the_hub_can_open_it(whole_run: Run, deployment: Given) -> None:
    raised = whole_run.of(CandidateRaised)
    assert raised
    for message in raised:
        assert message.probe is not None
        with pytest.raises(pyrage.DecryptError):
            pyrage.decrypt(message.probe, [pyrage.x25519.Identity.generate()])
        jpeg = pyrage.decrypt(message.probe, [deployment.hub])
        shown = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
        assert shown is not None
        assert shown.shape == (160, 160, 3)
        assert shown.std() > 20


def test_the_counts_balance(whole_run: Run, deployment: Given) -> None:
    (finished,) = whole_run.of(Finished)
    counters = finished.counters
    assert counters.frames == truth_of(deployment)["frames"]
    assert counters.dropped_frames == 0
    assert counters.faces_seen == counters.discarded + counters.alerted
    assert counters.alerted == sum(passage["listed"] for passage in truth_of(deployment)["passages"])
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


def test_a_live_view_is_sent_while_it_is_asked_for_to_its_recipient_alone(
    worker: WorkerProcess, deployment: Given
) -> None:
    own = pyrage.x25519.Identity.generate()
    worker.send(camera(deployment.task, pace="realtime"))
    worker.until(Beat)
    assert worker.of(ViewPicture) == []
    while not worker.of(ViewPicture):  # a busy machine drops the view first, so that some beats may pass without one
        worker.send(View(recipient=str(own.to_public())))
        worker.until(Beat)
    shown = worker.of(ViewPicture)[0].sealed
    jpeg = unpack_view(pyrage.decrypt(shown, [own])).jpeg
    cells = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert cells is not None
    assert cells.shape == (ROWS, COLUMNS, 3)
    with pytest.raises(pyrage.DecryptError):
        pyrage.decrypt(shown, [deployment.hub])
    worker.send(Stop(reason="over"))
    worker.until(Finished)


def test_a_commissioning_worker_shows_face_heights_and_has_neither_list_nor_recogniser(
    worker: WorkerProcess, deployment: Given
) -> None:
    own = pyrage.x25519.Identity.generate()
    worker.send(Commission(protocol=PROTOCOL, camera=deployment.task.camera, vision=deployment.task.vision))
    hello = worker.until(Hello)
    assert hello.recogniser == "none"
    assert hello.protections["no_file_writes"]
    worker.until(Beat)
    heights: list[int] = []
    while not heights:
        worker.send(View(recipient=str(own.to_public())))
        content = unpack_view(pyrage.decrypt(worker.until(ViewPicture).sealed, [own]))
        assert content.commissioning
        heights = [face.height_px for face in content.faces]
    assert all(20 < height < 720 for height in heights)
    worker.send(Stop(reason="over"))
    assert worker.until(Finished).counters.faces_seen == 0
    assert not worker.of(WatchlistLoaded)
    assert not worker.of(CandidateRaised)


# ── stopping ──────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_stop_in_mid_run_is_obeyed_at_once_and_the_counts_balance(worker: WorkerProcess, deployment: Given) -> None:
    worker.send(camera(deployment.task, pace="realtime"))
    worker.until(Beat)
    worker.until(Beat)
    with MachineTime() as machine:
        worker.send(Stop(reason="the sign is dark"))
        finished = worker.until(Finished)
    assert machine.seconds < STOPS_WITHIN_S
    assert worker.receive() is None
    assert worker.process.wait(STARTS_WITHIN_S) == 0
    assert finished.reason == "the sign is dark"
    assert finished.counters.faces_seen == finished.counters.discarded + finished.counters.alerted
    assert finished.counters.frames < truth_of(deployment)["frames"]


def test_end_of_file_in_mid_run_ends_the_process(worker: WorkerProcess, deployment: Given) -> None:
    worker.send(camera(deployment.task, pace="realtime"))
    worker.until(Beat)
    with MachineTime() as machine:
        worker.hang_up()
        assert worker.process.wait(STARTS_WITHIN_S) == 0
    assert machine.seconds < STOPS_WITHIN_S


def test_end_of_file_before_the_assignment_ends_the_process(worker: WorkerProcess) -> None:
    worker.hang_up()
    assert worker.process.wait(STARTS_WITHIN_S) == 70


def test_a_ctrl_c_in_the_terminal_is_left_to_the_supervisor(worker: WorkerProcess, deployment: Given) -> None:
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
    wrong: dict[str, Any], error: str, status: int, worker: WorkerProcess, deployment: Given, tmp_path: Path
) -> None:
    if wrong.get("identity") == "other":
        wrong = {"identity": str(pyrage.x25519.Identity.generate())}
    if "watchlist" in wrong:
        wrong = {"watchlist": str(tmp_path / "no such list.age")}
    if "vision" in wrong:
        vision = VisionAssignment(backend="tensorflow", min_face_px=32.0, threshold=None, models_dir="/")
        wrong = {"vision": vision}
    worker.send(structs.replace(deployment.task, **wrong))
    assert worker.to_the_end() == status
    (fault,) = worker.received
    assert isinstance(fault, Fault)
    assert (fault.error, fault.exit_status) == (error, status)
    assert "AGE-SECRET-KEY" not in fault.text


def test_a_missing_source_is_a_fault_after_the_list_was_opened(worker: WorkerProcess, deployment: Given) -> None:
    worker.send(camera(deployment.task, source=str(deployment.place / "no such clip.mp4")))
    assert worker.to_the_end() == 65
    assert [type(message) for message in worker.received] == [Hello, WatchlistLoaded, JournalLine, Fault]
    (fault,) = worker.of(Fault)
    assert (fault.error, fault.exit_status) == ("SourceUnreadable", 65)
    assert "no such clip.mp4" in fault.text


def test_garbage_on_the_link_in_mid_run_is_a_fault_and_not_the_end_of_the_recording(
    worker: WorkerProcess, deployment: Given
) -> None:
    worker.send(camera(deployment.task, pace="realtime"))
    worker.until(Beat)
    worker.raw(HEADER.pack(5) + b"hello")
    assert worker.to_the_end() == 70
    assert [fault.error for fault in worker.of(Fault)] == ["LinkBroken"]
    assert worker.of(Finished) == []
