"""A whole worker, locked down, over a CSI camera of the fake jetson_utils: it recognises whom the camera shows."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec import structs

from device.edges.sandbox import landlock
from device.wire.link import CandidateRaised, Fault, Hello
from tools.dev.proof.worker import Given, WorkerProcess

pytestmark = pytest.mark.slow

TESTS = Path(__file__).parents[2]
LIBRARY = """
import importlib.util, sys, time
import av

spec = importlib.util.spec_from_file_location("fakes", {fakes!r})
fakes = sys.modules["fakes"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(fakes)
clip = av.open({clip!r})  # now: after the lock-down no file can be opened


def pictures():
    began = None
    for decoded in clip.decode(video=0):
        began = time.monotonic() - decoded.time if began is None else began
        time.sleep(max(0.0, began + decoded.time - time.monotonic()))
        yield fakes.Picture(lambda out: out.__setitem__(slice(None), decoded.to_ndarray(format="rgb24")))
        if decoded.time > {end_s}:
            return


library = fakes.Library()
stream = clip.streams.video[0]
library.cameras["csi://0"] = fakes.Camera(pictures(), size=(stream.width, stream.height))
globals().update(vars(library.module()))
"""
"""What `import jetson_utils` finds in the worker's working folder."""


@pytest.fixture
def on_a_board(clip: Path, tmp_path: Path) -> Iterator[WorkerProcess]:
    """A worker in a folder where jetson_utils is the fake one; its camera shows the clip's listed person once."""
    truth = json.loads(clip.with_suffix(".truth.json").read_text())
    listed = next(passage for passage in truth["passages"] if passage["listed"])
    fakes = TESTS / "device_apis" / "fake_jetson_utils.py"
    text = LIBRARY.format(fakes=str(fakes), clip=str(clip), end_s=listed["last"] / truth["fps"])
    (tmp_path / "jetson_utils.py").write_text(text)
    with WorkerProcess(tmp_path) as started:
        yield started


def test_a_csi_camera_is_watched_behind_the_lock_down(on_a_board: WorkerProcess, deployment: Given) -> None:
    on_a_board.send(structs.replace(deployment.task, camera=structs.replace(deployment.task.camera, source="csi://0")))
    assert on_a_board.until(CandidateRaised).candidate.entry_ref == "obama"
    assert on_a_board.to_the_end() == 69
    (hello,), (fault,) = on_a_board.of(Hello), on_a_board.of(Fault)
    assert hello.protections["seccomp"]
    assert hello.protections["landlock_reads"] is bool(landlock.abi())
    assert (fault.error, fault.text) == ("SourceLost", "csi://0: lost (the camera ended the stream)")
