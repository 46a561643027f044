"""A pair of recognisers on the emulated TensorRT: both are built, compared, tested, opened, gated and wiped.

The pair is SFace with a small added recogniser. An OpenVINO IR stands for a published screen.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from device.cli.main import main
from device.domain.recognisers import Recognisers
from device.domain.sight import F32, U8, Face, Frame, Packed
from device.domain.time import MediaNs, MonotonicNs
from device.enrolment.model_sessions import ModelSessions
from device.errors import EngineUnavailable
from device.recognition.build import gallery_of
from device.watchlist.gallery import fill
from engines.cards.catalogue import card
from engines.cards.model_card import DETECTOR_DEFAULT, RECOGNISER_DEFAULT, ModelCard
from engines.places import plans_dir
from engines.plan_build import Order, build
from engines.prepare.prepare import prepare
from engines.select import BATCHES, open_runner, open_sampled
from engines.tensorrt import plans
from engines.tensorrt.cuda import Gpu
from engines.tensorrt.plans import Profile
from engines.tensorrt.runner import TensorRtRunner, TensorRtSampled
from engines.verify.compare import cuts, difference, synthetic
from engines.verify.golden import pictures
from engines.verify.synthetic_faces import crowd
from tests.device_apis import emulated_tensorrt
from tests.unit.engines.ir_models import card_of, written

FRAME, FRAME_TEXT = (160, 256), "160x256"
SMALLEST_PX = 32.0
MakeSessions = Callable[[str], ModelSessions]


@pytest.fixture
def sessions_of(trt: emulated_tensorrt.Behaviour, own_recogniser: ModelCard) -> Iterator[MakeSessions]:
    """Sessions of SFace behind the added recogniser on a backend, closed at the end."""
    made: list[ModelSessions] = []

    def make(backend: str) -> ModelSessions:
        made.append(ModelSessions(backend, threads=1, screen=own_recogniser.name))
        return made[-1]

    yield make
    for sessions in made:
        sessions.close()


def built(*options: str) -> None:
    assert main(["engines", "build", "--precision", "fp32", *options]) == 0


def templates_of(sessions: ModelSessions, picture: U8) -> dict[str, F32]:
    found: dict[str, F32] = {}
    for name, embedder in sessions.embedders().items():
        found[name] = np.zeros(card(name).length_of_template, np.float32)
        embedder.embed(picture, found[name])
    return found


@pytest.mark.slow
def test_build_makes_plans_of_both_and_the_self_test_covers_both(
    sessions_of: MakeSessions, capsys: pytest.CaptureFixture[str]
) -> None:
    built("--size", "128x128")
    of = {json.loads(file.read_text())["key"]["card"] for file in plans_dir().glob("*.json")}
    assert of == {DETECTOR_DEFAULT, RECOGNISER_DEFAULT, "tiny"}
    gpu, cpu = sessions_of("tensorrt:fp32"), sessions_of("onnxruntime:fp32")
    assert gpu.self_test() == ""
    picture = pictures(card(RECOGNISER_DEFAULT))[0][0]
    ours, theirs = templates_of(gpu, picture), templates_of(cpu, picture)
    assert list(ours) == list(theirs) == [RECOGNISER_DEFAULT, "tiny"]
    for name, template in ours.items():
        assert float(template @ theirs[name]) > 0.9999, name
    capsys.readouterr()


@pytest.mark.slow
@pytest.mark.parametrize("spoilt", [RECOGNISER_DEFAULT, "tiny"])
def test_a_plan_of_either_that_answers_otherwise_is_named_by_the_self_test(
    sessions_of: MakeSessions, trt: emulated_tensorrt.Behaviour, spoilt: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    built("--size", "128x128")
    sessions = sessions_of("tensorrt:fp32")
    sessions.refiner()
    sessions.embedders()
    honest = sessions._others[spoilt].run

    def drifting(batch: U8) -> Any:
        trt.drift = 0.5
        try:
            return honest(batch)
        finally:
            trt.drift = 0.0

    monkeypatch.setattr(sessions._others[spoilt], "run", drifting)
    wrong = sessions.self_test()
    assert wrong.startswith(f"{spoilt} (fp32) differs from the reference")
    assert ";" not in wrong, "the other one agrees"


@pytest.mark.slow
def test_without_the_screen_s_plan_nothing_is_opened_and_the_command_is_named(
    sessions_of: MakeSessions, capsys: pytest.CaptureFixture[str]
) -> None:
    built("--size", "128x128", "--model", RECOGNISER_DEFAULT)
    sessions = sessions_of("tensorrt:fp32")
    missing = r"tiny\.fp32\.112x112\.[0-9a-f]{12}\.json: no TensorRT plan"
    with pytest.raises(EngineUnavailable, match=missing) as refused:
        sessions.embedders()
    command = re.search(r"run `lfr (engines build [^`]*)`", str(refused.value))
    assert command is not None
    assert main(command[1].split()) == 0
    assert list(sessions.embedders()) == [RECOGNISER_DEFAULT, "tiny"]
    capsys.readouterr()


def test_the_screen_s_plan_is_compared_with_the_cpu(
    trt: emulated_tensorrt.Behaviour, own_recogniser: ModelCard, capsys: pytest.CaptureFixture[str]
) -> None:
    one = ["--model", own_recogniser.name]
    built(*one)
    capsys.readouterr()
    compare = ["engines", "compare", "tensorrt:fp32", "onnxruntime:fp32", *one, "--rounds", "1", "--json"]
    assert main(compare) == 0
    (compared,) = json.loads(capsys.readouterr().out)["comparisons"]
    assert (compared["model"], compared["outputs"]["template"]["max_abs"] < 1e-4) == ("tiny", True)
    trt.drift = 0.5
    assert main(compare) == 70


def frame_of(picture: U8) -> Frame:
    """A frame in memory of the fake GPU, which is the processor's."""
    return Frame(0, MediaNs(0), MonotonicNs(0), Packed(picture, picture.ctypes.data))


@pytest.mark.slow
def test_frames_on_the_gpu_are_gated_by_the_screen_and_both_are_wiped(
    sessions_of: MakeSessions, trt: emulated_tensorrt.Behaviour
) -> None:
    built("--frame", FRAME_TEXT)
    (picture,) = crowd(FRAME, (0, 1))
    frame = frame_of(np.ascontiguousarray(picture))
    sessions = sessions_of("tensorrt:fp32")
    chosen = sessions.recognisers
    out = np.zeros(chosen.length_of_template, np.float32)
    _, someone = fill(1, 3, chosen.length_of_template)
    gallery = gallery_of([("1", someone)], screen_dim=chosen.screen_dim)
    front_end = sessions.sampled_front_end(SMALLEST_PX, listed=gallery)
    face = front_end.look(frame)[0]

    def networks_run(call: Callable[[], object]) -> int:
        before = trt.executions
        call()
        return trt.executions - before

    assert networks_run(lambda: front_end.embed(frame, face, out, gated=True)) == 1, "the screen finds nobody possible"
    assert not out.any()
    assert networks_run(lambda: front_end.embed(frame, face, out)) == 2
    assert float(np.linalg.norm(out)) == pytest.approx(1, abs=1e-5)
    _same_on_the_cpu(chosen, frame, face, out)
    gallery._screen[0] = chosen.part(out, 1) / chosen.scales[1]
    assert networks_run(lambda: front_end.embed(frame, face, out, gated=True)) == 2, "now somebody is"
    assert networks_run(front_end.wipe_faces) == 3, "a blank goes through the second look and both recognisers"


def _same_on_the_cpu(chosen: Recognisers, frame: Frame, face: Face, own: F32) -> None:
    """The pair's template of the same face from ONNX Runtime's sampled engines."""
    cpu = ModelSessions("onnxruntime:fp32", threads=1, screen="tiny")
    try:
        front_end, theirs = cpu.sampled_front_end(SMALLEST_PX), np.zeros_like(own)
        front_end.embed(frame, face, theirs)
    finally:
        cpu.close()
    for place, one in enumerate(chosen.cards):
        alike = difference(chosen.part(theirs, place)[None], chosen.part(own, place)[None])
        assert alike.min_cosine > 0.9999, one.name


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_a_published_ir_becomes_plans_for_pictures_and_for_frames(
    trt: emulated_tensorrt.Behaviour, tmp_path: Path, precision: str
) -> None:
    """BGR, an input of another size than SFace's and an alignment of its own, as face-reidentification-retail-0095."""
    xml, models = written(tmp_path), tmp_path / "models"
    one = card_of(xml)
    for kind in {"fp32", precision}:
        prepare(one, xml, models, precision=kind)
    size = one.input_size
    assert size is not None
    limit = one.tolerances[precision]
    for frame in (None, FRAME):
        plan, fresh = build(
            Order(one, precision, Profile(*BATCHES[one.role], *size, frame), models, plans_dir()), lambda *_: None
        )
        assert fresh
        content, _ = plans.load(plans_dir(), plan.key)
        gpu: Any
        cpu: Any
        asked: list[tuple[Any, ...]]
        if frame is None:
            gpu = TensorRtRunner(one, content, plan, Gpu())
            cpu = open_runner(one, backend="onnxruntime", threads=1, models=models)
            asked = [(picture,) for picture in synthetic(size, seed=3)]
        else:
            gpu = TensorRtSampled(one, content, plan, Gpu(), scratch=None)
            sizes: dict[str, Any] = {"frame_size": frame, "shape": size}
            cpu = open_sampled(one, backend="onnxruntime", threads=1, models=models, **sizes)
            asked = list(cuts(frame, size, 3))
        for given in asked:
            wanted = cpu.run(*given)["template"].copy()
            gap = difference(wanted, gpu.run(*given)["template"])
            assert limit.allows(gap.max_abs, gap.min_cosine), (frame, gap)
        gpu.close()
        cpu.close()
