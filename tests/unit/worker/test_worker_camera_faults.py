"""The worker as a process: a camera that freezes, changes its size or stalls is reported.

How soon, in pictures, is the subject of tests/unit/edges/test_camera_faults_encoded.py: these tests run in real time.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest
from msgspec import structs

from device.wire.link import Assignment, Beat, Fault, Finished, JournalLine
from tests.machine_time import of_processes
from tests.replay import videos
from tests.unit.edges.rtsp_camera import RtspCamera
from tools.dev.bench.camera_faults.encoders import ENCODERS, encode
from tools.dev.bench.camera_faults.faulty import FAULTS, Clip, broken_clip, drawn_room, noisy
from tools.dev.proof.worker import Given, WorkerProcess, given

pytestmark = pytest.mark.long

RATE = 25
BREAKS_S = 2.0
REPORTED_S = 5.0
"""A beat counts the pictures decoded when it was sent: on a busy machine that is after the fault was found."""
STALLED_S = 2.0


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory, models_ready: Path) -> Given:
    return given(tmp_path_factory.mktemp("task"), "nothing")


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[WorkerProcess]:
    with WorkerProcess(tmp_path) as one:
        yield one


def over(task: Given, source: object, **camera: Any) -> Assignment:
    return structs.replace(task.task, camera=structs.replace(task.task.camera, source=str(source), **camera))


def pictures_until(worker: WorkerProcess, fault: str) -> int:
    """Pictures that were decoded when the fault was reported: a recording at its own pace has 25 a second."""
    return worker.until(Beat, lambda beat: beat.camera == fault).counters.frames


def test_a_camera_that_freezes_behind_its_encoder_is_reported_and_nobody_stays_in_view(
    task: Given, worker: WorkerProcess, tmp_path: Path
) -> None:
    clip = tmp_path / "frozen.mkv"
    room = drawn_room(seconds=2.0)
    lit = Clip("with a sensor's noise", room.rate, [noisy(one, number) for number, one in enumerate(room.pictures)])
    pictures = broken_clip(lit, FAULTS["frozen, clock"], breaks_s=BREAKS_S, seconds=8.0)
    encode(pictures, RATE, ENCODERS["H.264 GOP 250"], clip)
    worker.send(over(task, clip))
    assert worker.until(Beat, lambda beat: beat.counters.frames > 0).size == (640, 360)
    reported_s = pictures_until(worker, "frozen") / RATE - BREAKS_S
    assert 1.1 < reported_s <= REPORTED_S
    assert worker.until(Beat, lambda beat: beat.camera == "frozen").counters.open_passages == 0
    assert "camera fault: frozen" in {line.text for line in worker.of(JournalLine)}


def test_a_resolution_that_changes_is_reported_and_the_new_pictures_are_not_searched(
    task: Given, worker: WorkerProcess, tmp_path: Path
) -> None:
    clip = videos.size_change(tmp_path / "size", after=100)
    worker.send(over(task, clip))
    first = worker.until(Beat, lambda beat: beat.camera == "size_changed")
    assert (first.counters.frames - 15) / RATE <= REPORTED_S
    assert first.size == (320, 240)
    done = worker.until(Finished)
    assert done.counters.frames > 100


def test_a_size_that_an_earlier_run_had_is_expected_from_the_first_picture(
    task: Given, worker: WorkerProcess, tmp_path: Path
) -> None:
    worker.send(over(task, videos.recording(tmp_path / "clip.mp4", frames=60), size=(1280, 720)))
    beat = worker.until(Beat, lambda beat: beat.counters.frames > 10)
    assert (beat.camera, beat.size) == ("size_changed", (1280, 720))


def test_a_network_camera_that_stalls_is_reported_and_then_lost(
    task: Given, worker: WorkerProcess, tmp_path: Path
) -> None:
    camera = RtspCamera(_transport_stream(tmp_path / "camera.ts"))
    try:
        worker.send(over(task, camera.address, pace="live"))
        worker.until(Beat, lambda beat: beat.counters.frames > 0)
        assert camera.played.wait(20)
        with of_processes(lambda: (os.getpid(), worker.process.pid)) as machine:
            worker.until(Beat, lambda beat: beat.camera == "stalled")
            assert machine.seconds <= STALLED_S + 1.0
        assert worker.until(Fault).error == "SourceLost"
    finally:
        camera.close()


def _transport_stream(out: Path) -> Path:
    with av.open(str(out), "w", format="mpegts") as container:
        stream = container.add_stream("libx264", rate=RATE, options={"g": "10", "bf": "0", "preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 640, 360, "yuv420p"
        for number, picture in enumerate(drawn_room(seconds=2.0).pictures):
            frame = av.VideoFrame.from_ndarray(picture, format="yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, RATE)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return out
