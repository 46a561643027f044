"""A whole worker, locked down, on the emulated TensorRT and the fake driver: it reads its camera's frames in place.

The worker is a process of its own. In its folder, `jetson_utils` is the fake camera and `tensorrt` the emulator; what
the emulator is given comes back through a pipe that was open before the lock-down, one line an execution.
"""

from __future__ import annotations

import json
import os
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from device.cli.main import main
from device.wire.link import Beat, CandidateRaised, Fault, Finished, Hello, VisionAssignment
from engines.places import cache_dir, plans_dir
from tools.dev.proof.worker import Given, WorkerProcess

TESTS = Path(__file__).parents[1]
WITHIN_S = 10.0
FRAME, FIT, PATCH = "720x1280", "352x640", "128x128"
CAMERA = """
import ctypes, importlib.util, json, os, sys, time

import av
import numpy as np

spec = importlib.util.spec_from_file_location("fakes", {fakes!r})
fakes = sys.modules["fakes"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(fakes)
clip = av.open({clip!r})  # now: after the lock-down no file can be opened


looked = []


def pictures():
    patience = 400  # pictures: half a minute at most
    for decoded in clip.decode(video=0):
        if decoded.time > {end_s}:
            return
        picture = decoded.to_ndarray(format="rgb24")
        while True:
            yield fakes.Picture(lambda out: out.__setitem__(slice(None), picture))
            time.sleep({step_s})
            patience -= 1
            if looked or patience < 0:  # the first picture stands until the engines for it are open
                break


library = fakes.Library()
stream = clip.streams.video[0]
library.cameras["csi://0"] = fakes.Camera(pictures(), size=(stream.width, stream.height))
globals().update(vars(library.module()))


def executed(tensors):
    # One line: the frame's address (None for an engine that takes pictures), and whether anything is to be seen there.
    slots = [image for image in library.allocated if image.size == stream.width * stream.height * 3]
    address, shown = tensors.get("frame"), True
    if address is not None:
        shown = np.frombuffer((ctypes.c_uint8 * slots[0].size).from_address(address), np.uint8).any()
    looked.extend([True] if address in [image.ptr for image in slots] else [])
    said = dict(address=address, shown=bool(shown), slots=[image.ptr for image in slots])
    said["kept"] = any(image.memory.any() for image in slots)
    said["copies"] = sorted(set(target for _, target in library.copies))
    os.write({pipe}, json.dumps(said).encode() + b"\\n")
"""
TENSORRT = """
import ctypes, importlib.util, sys
import jetson_utils

spec = importlib.util.spec_from_file_location("emulator", {emulator!r})
emulator = sys.modules["emulator"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(emulator)


class Watched(emulator.IExecutionContext):
    def _execute(self):
        jetson_utils.executed(self._addresses)
        super()._execute()


emulator.IExecutionContext = Watched
libcuda = ctypes.CDLL({libcuda!r})
sys.modules["tensorrt"] = emulator.make(emulator.Behaviour(), libcuda)
"""


PYCUDA = """
import ctypes

ctypes.CDLL({libcuda!r}, mode=ctypes.RTLD_GLOBAL)
__path__ = [{pycuda!r}]
"""
"""The real package, after the driver that it links to."""


@dataclass(frozen=True)
class Board:
    """A worker's folder with both libraries. `received` ends the worker and says what its GPU was given."""

    start: Callable[[], Any]
    received: Callable[[], list[dict[str, Any]]]


@pytest.fixture
def board(
    trt: object,
    libcuda_file: Path,
    models_ready: Path,
    clip: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Board]:
    """No plan is built yet; the camera shows the clip's listed person for a second."""
    import pycuda.driver  # `trt` has made it importable

    real = Path(pycuda.driver.__file__).parent
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH"), str(real.parent)])))
    cache_dir().mkdir(parents=True)
    (cache_dir() / "models").symlink_to(models_ready)
    truth = json.loads(clip.with_suffix(".truth.json").read_text())
    listed = next(passage for passage in truth["passages"] if passage["listed"])
    reading, writing = os.pipe()
    place = {
        "libcuda": str(libcuda_file),
        "pycuda": str(real),
        "fakes": str(TESTS / "device_apis" / "fake_jetson_utils.py"),
        "emulator": str(TESTS / "device_apis" / "emulated_tensorrt.py"),
        "clip": str(clip),
        "end_s": (listed["first"] + 25) / truth["fps"],
        "step_s": 2 / truth["fps"],
        "pipe": writing,
    }
    folder = tmp_path / "board"
    (folder / "pycuda").mkdir(parents=True)
    (folder / "pycuda" / "__init__.py").write_text(PYCUDA.format(**place))
    (folder / "jetson_utils.py").write_text(CAMERA.format(**place))
    (folder / "tensorrt.py").write_text(TENSORRT.format(**place))
    executions: list[dict[str, Any]] = []

    def listen() -> None:
        with os.fdopen(reading) as lines:
            executions.extend(json.loads(line) for line in lines)

    listener = threading.Thread(target=listen, daemon=True)
    listener.start()
    workers: list[Any] = []

    def start() -> Any:
        workers.append(WorkerProcess(folder, inherits=(writing,)))
        return workers[-1]

    def received() -> list[dict[str, Any]]:
        for worker in workers:
            worker.close()
        if listener.is_alive():
            os.close(writing)
            listener.join(WITHIN_S)
        return executions

    yield Board(start, received)
    received()


def on_gpu(task: Any, models: Path, **camera: str) -> Any:
    vision = VisionAssignment(backend="tensorrt:fp32", min_face_px=32.0, threshold=None, models_dir=str(models))
    return structs.replace(task, camera=structs.replace(task.camera, **camera), vision=vision)


def built(*options: str) -> None:
    assert main(["engines", "build", "--precision", "fp32", *options]) == 0


def test_a_camera_s_frames_are_read_where_they_lie_and_nothing_of_them_stays(
    board: Board, deployment: Given, models_ready: Path
) -> None:
    built("--size", PATCH)
    built("--frame", FRAME)
    worker = board.start()
    worker.send(on_gpu(deployment.task, models_ready, source="csi://0"))
    assert worker.until(CandidateRaised).candidate.entry_ref == "obama"
    assert worker.to_the_end() == 69
    (hello,), (fault,) = worker.of(Hello), worker.of(Fault)
    assert (hello.backend, hello.self_test) == ("tensorrt:fp32", "")
    assert hello.protections["seccomp"]
    assert (fault.error, fault.text) == ("SourceLost", "csi://0: lost (the camera ended the stream)")
    beat = worker.of(Beat)[-1]
    assert 0 < beat.gpu_free_bytes < 4 << 30  # of the fake's 4 GiB
    assert beat.counters.templates > 0

    seen = board.received()
    slots = set(seen[-1]["slots"])
    assert len(slots) == 3
    first = next((n for n, one in enumerate(seen) if one["address"] in slots), None)
    assert first is not None, "no frame was read where it lies"
    before, since = seen[:first], seen[first:]
    assert [one["address"] is None for one in before[:4]] == [True] * 4  # before the lock-down, by pictures
    opened = [one["shown"] for one in before if one["address"] is not None]
    assert opened == [True] * 4 + [False] * 3  # two golden pictures of each model, then a blank through each network
    at_slots = [one for one in since if one["address"] in slots]
    assert len(at_slots) > 10
    assert all(one["shown"] and one["kept"] for one in at_slots)
    others = [one for one in since if one["address"] not in slots]
    assert others
    assert not any(
        one["shown"] for one in others
    )  # blanks to forget by: no picture was uploaded, none went to an array
    assert set(seen[-1]["copies"]) <= slots  # of the ring, by the GPU
    assert seen[-1]["address"] not in slots
    assert not seen[-1]["kept"]  # the feed's slots were wiped before the last blank


def test_without_plans_for_its_camera_s_frames_a_worker_names_the_command(
    board: Board, deployment: Given, models_ready: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    built("--size", PATCH)
    worker = board.start()
    worker.send(on_gpu(deployment.task, models_ready, source="csi://0"))
    assert worker.to_the_end() == 69
    (fault,) = worker.of(Fault)
    assert fault.error == "EngineUnavailable"
    command = re.search(r"run `lfr (engines build [^`]*)`", fault.text)
    assert command is not None
    assert f"--frame {FRAME}" in command[1]
    before = len(list(plans_dir().glob("*.plan")))
    assert main(command[1].split()) == 0
    assert len(list(plans_dir().glob("*.plan"))) > before
    capsys.readouterr()


def test_a_recording_on_a_gpu_is_looked_at_in_the_thread_that_owns_it(
    board: Board, deployment: Given, models_ready: Path
) -> None:
    built("--size", PATCH, "--size", FIT)
    worker = board.start()
    worker.send(on_gpu(deployment.task, models_ready))
    assert worker.to_the_end() == 0
    assert [one.reason for one in worker.of(Finished)] == ["the recording ended"]
    raised = {one.candidate.entry_ref for one in worker.of(CandidateRaised)}
    assert raised == {"obama"}
    assert all(one["address"] is None for one in board.received())
