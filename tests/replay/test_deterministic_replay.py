"""A recording is judged alike each time, however the threads of decoding, detection and recognition run."""

from __future__ import annotations

import random
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from device.domain.finding import Candidate
from device.domain.sight import Face, Frame
from device.edges.camera.recording import RecordedSource
from device.recognition.detect_ahead import Pressed, always
from device.recognition.pipeline import Pipeline
from device.recognition.replay import Request, replay
from tests.replay.golden_log import Log, Recorder
from tests.replay.test_golden_replay import BACKEND, LISTED, THRESHOLD, spec
from tools.dev.clip.make import ready_clip

pytestmark = pytest.mark.slow
PAUSES_S = (0.0, 0.0, 0.0, 0.005, 0.03)


class Unsteady:
    """Pauses of random length in all three threads."""

    def __init__(self, seed: int, patch: pytest.MonkeyPatch) -> None:
        frames, look, judge = RecordedSource.frames, Pipeline.look, Pipeline.process
        decoding, looking, judging = (random.Random(100 * seed + n) for n in range(3))

        def decoded(source: RecordedSource) -> Iterator[Frame]:
            for frame in frames(source):
                time.sleep(decoding.choice(PAUSES_S) / 2)
                yield frame

        def looked(pipeline: Pipeline, frame: Frame, pressed: Pressed = always) -> list[Face] | None:
            time.sleep(looking.choice(PAUSES_S))
            return look(pipeline, frame, pressed)

        def judged(pipeline: Pipeline, frame: Frame, faces: list[Face]) -> list[Candidate]:
            time.sleep(judging.choice(PAUSES_S))
            return judge(pipeline, frame, faces)

        patch.setattr(RecordedSource, "frames", decoded)
        patch.setattr(Pipeline, "look", looked)
        patch.setattr(Pipeline, "process", judged)


@pytest.fixture(scope="module")
def watchlist(samples: Callable[[str], list[Path]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("deterministic")
    (folder / "list" / LISTED).mkdir(parents=True)
    photo = next(path for path in samples("public") if path.name == "obama.jpg")
    shutil.copy(photo, folder / "list" / LISTED / photo.name)
    return folder / "list"


def test_every_decision_is_the_same_whatever_the_threads_wait_for(
    samples: Callable[[str], list[Path]], models_ready: Path, watchlist: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = ready_clip(spec(samples))[0]
    logs: list[Log] = []
    reports: list[dict[str, Any]] = []
    for seed in range(3):
        recorder = Recorder()
        with monkeypatch.context() as patch:
            if seed:
                Unsteady(seed, patch)
            reports.append(
                replay(
                    Request(str(clip), watchlist, BACKEND, THRESHOLD, config=watchlist.parent / "no-device.yaml"),
                    cache=None,
                    progress=lambda decoded, frames: None,
                    talk=False,
                    observer=recorder,
                )
            )
        logs.append(recorder.log(reports[-1]))
    assert logs[0] == logs[1] == logs[2]
    searched = len({row["frame"] for row in logs[0]["looks"]})
    assert searched > 5
    assert reports[0]["counters"] == reports[1]["counters"] == reports[2]["counters"]
