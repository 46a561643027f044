"""Every runtime behind `Runner`, on the real prepared models: the same suite for all, then how far they differ.

The judges of what the models should compute are OpenCV's own DNN for the detector and onnx's reference evaluator for
the recogniser, each on the packaged file as it came. Without the prepared models these tests fail: run make setup.
"""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from engines.cards.catalogue import card
from engines.cards.model_card import DETECTOR_DEFAULT, RECOGNISER_DEFAULT, PackageSource
from engines.errors import BadInput, BadOutput, EngineMissing, ModelMissing
from engines.places import packages_dir
from engines.prepare.prepare import preparable, prepare
from engines.runner import U8, Runner, check_outputs
from engines.select import CPU_BACKENDS, open_runner, precisions
from engines.verify.agreement import boxes, drawn_faces, planted
from engines.verify.compare import difference, synthetic

pytestmark = pytest.mark.slow

YUNET, SFACE = card(DETECTOR_DEFAULT), card(RECOGNISER_DEFAULT)
SIZE = (96, 160)


@pytest.fixture(params=CPU_BACKENDS)
def detector(request: pytest.FixtureRequest, models_ready: Path) -> Iterator[Runner]:
    runner = open_runner(YUNET, backend=request.param, threads=1, shape=SIZE, models=models_ready)
    yield runner
    runner.close()


@pytest.fixture(params=CPU_BACKENDS)
def recogniser(request: pytest.FixtureRequest, models_ready: Path) -> Iterator[Runner]:
    runner = open_runner(SFACE, backend=request.param, threads=1, models=models_ready)
    yield runner
    runner.close()


def packaged(name: str) -> Path:
    """The file as its package carries it; `lfr engines prepare` left it in the cache."""
    source = card(name).source
    assert isinstance(source, PackageSource)
    path = packages_dir() / f"{source.package}-{source.version}" / source.member
    if not path.is_file():
        pytest.fail(f"run make setup: {path} is missing")
    return path


@pytest.fixture
def portrait(samples: Callable[[str], list[Path]]) -> U8:
    """One real face, (1, 320, 320, 3) RGB."""
    photo = next(path for path in samples("public") if "obama" in path.name.lower())
    picture = cv2.imread(str(photo))
    assert picture is not None
    side = min(picture.shape[:2])
    scaled: U8 = cv2.resize(picture[:side, :side], (320, 320), interpolation=cv2.INTER_AREA)
    portrait: U8 = scaled[None, :, :, ::-1].copy()
    return portrait


def test_every_runtime_finds_every_planted_face_at_the_same_place(models_ready: Path) -> None:
    size = (352, 640)
    runners = [open_runner(YUNET, backend=name, threads=1, shape=size, models=models_ready) for name in CPU_BACKENDS]
    found = boxes(runners[0], runners[1], planted(size), "drawn")
    for runner in runners:
        runner.close()
    assert (found.both, found.only_first, found.only_second) == (4 + 4 + 1 + 2 + 3 * 8, 0, 0)
    assert found.least_iou is not None
    assert found.least_iou > 0.999


@pytest.mark.parametrize("backend", CPU_BACKENDS)
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_several_pictures_of_one_call_give_what_they_give_alone(
    backend: str, precision: str, models_ready: Path
) -> None:
    faces = np.concatenate(drawn_faces((112, 112)))
    alone, four = (
        open_runner(SFACE, backend=backend, threads=1, precision=precision, models=models_ready, at_once=count)
        for count in (1, 4)
    )
    gap = difference(alone.run(faces)["template"].copy(), four.run(faces)["template"])
    with pytest.raises(BadInput, match="multiples of 4"):
        four.run(faces[:6])
    for runner in (alone, four):
        runner.close()
    assert SFACE.tolerances[precision].allows(gap.max_abs, gap.min_cosine)


def test_a_runner_says_which_runtime_it_is(recogniser: Runner) -> None:
    assert recogniser.backend in CPU_BACKENDS


def test_a_detector_gives_every_output_of_its_card_for_every_cell(detector: Runner) -> None:
    outputs = detector.run(np.zeros((1, *SIZE, 3), np.uint8))
    assert list(outputs) == list(YUNET.outputs)
    widths = {"cls": 1, "obj": 1, "bbox": 4, "kps": 10}
    for name, values in outputs.items():
        kind, stride = name.split("_")
        cells = SIZE[0] * SIZE[1] // int(stride) ** 2
        assert values.shape == (1, cells, widths[kind])
        assert values.dtype == np.float32
        if kind in ("cls", "obj"):
            assert values.min() >= 0
            assert values.max() <= 1


def test_a_batch_gives_the_same_templates_as_its_pictures_alone(recogniser: Runner) -> None:
    batch = np.concatenate(synthetic((112, 112), seed=3))
    alone = [recogniser.run(batch[i : i + 1])["template"].copy() for i in range(len(batch))]
    together = recogniser.run(batch)["template"]
    assert together.shape == (len(batch), SFACE.template_dim)
    np.testing.assert_allclose(together, np.concatenate(alone), rtol=0, atol=1e-6)


def test_a_picture_may_lie_anywhere_in_a_larger_buffer(recogniser: Runner) -> None:
    batch = np.concatenate(synthetic((112, 112), seed=4))
    inside = recogniser.run(batch[3:4])["template"].copy()
    np.testing.assert_array_equal(inside, recogniser.run(batch[3:4].copy())["template"])


@pytest.mark.parametrize(
    "batch",
    [
        np.zeros((1, 112, 112, 3), np.float32),
        np.zeros((1, 3, 112, 112), np.uint8),
        np.zeros((1, 112, 96, 3), np.uint8),
        np.zeros((112, 112, 3), np.uint8),
        np.zeros((0, 112, 112, 3), np.uint8),
        np.zeros((1, 112, 112, 6), np.uint8)[..., ::2],
    ],
    ids=["float", "planar", "narrow", "no batch", "empty batch", "strided"],
)
def test_a_tensor_that_does_not_fit_is_refused_with_a_message(recogniser: Runner, batch: U8) -> None:
    with pytest.raises(BadInput, match="crops must be"):
        recogniser.run(batch)
    assert recogniser.run(np.zeros((1, 112, 112, 3), np.uint8))["template"].shape == (1, 128)


@pytest.mark.parametrize("backend", CPU_BACKENDS)
@pytest.mark.parametrize("shape", [None, (100, 160), (0, 32), (96, 161)])
def test_a_detector_size_must_be_given_in_multiples_of_32(
    models_ready: Path, backend: str, shape: tuple[int, int] | None
) -> None:
    with pytest.raises(BadInput):
        open_runner(YUNET, backend=backend, threads=1, shape=shape, models=models_ready)


@pytest.mark.parametrize("backend", CPU_BACKENDS)
def test_a_recogniser_takes_no_other_size_than_its_own(models_ready: Path, backend: str) -> None:
    with pytest.raises(BadInput, match="112x112"):
        open_runner(SFACE, backend=backend, threads=1, shape=(96, 96), models=models_ready)


def test_a_closed_runner_refuses_and_may_be_closed_again(recogniser: Runner) -> None:
    recogniser.close()
    recogniser.close()
    with pytest.raises(BadInput, match="closed"):
        recogniser.run(np.zeros((1, 112, 112, 3), np.uint8))


@pytest.mark.parametrize("backend", CPU_BACKENDS)
def test_a_runtime_that_is_not_installed_is_named_with_its_package(
    models_ready: Path, backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, backend, None)
    with pytest.raises(EngineMissing, match=f"pip install {backend}") as fault:
        open_runner(SFACE, backend=backend, threads=1, models=models_ready)
    assert fault.value.exit_status == 69


@pytest.mark.parametrize("poison", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", [0, -1])
def test_a_single_value_that_is_not_a_number_spoils_the_result(poison: float, place: int) -> None:
    template = np.ones((2, 128), np.float32)
    check_outputs(SFACE, {"template": template})
    template.flat[place] = poison
    with pytest.raises(BadOutput, match="template"):
        check_outputs(SFACE, {"template": template})


@pytest.mark.parametrize("backend", CPU_BACKENDS)
def test_runners_in_threads_of_their_own_do_not_disturb_each_other(models_ready: Path, backend: str) -> None:
    pictures = synthetic((112, 112), seed=5)
    expected = _templates(backend, models_ready, pictures)
    found: dict[int, list[np.ndarray]] = {}

    def work(number: int) -> None:
        found[number] = _templates(backend, models_ready, pictures)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    for number in range(2):
        for one, other in zip(found[number], expected, strict=True):
            np.testing.assert_array_equal(one, other)


SIGNAL_AFTER_CLOSE = """
import os, signal, sys
from engines.cards.catalogue import card
from engines.cards.model_card import RECOGNISER_DEFAULT
from engines.select import open_runner

signal.signal(signal.SIGUSR1, lambda *_: None)
runners = [open_runner(card(RECOGNISER_DEFAULT), backend=sys.argv[1], threads=1) for _ in range(2)]
for runner in runners:
    runner.close()
del runner, runners
ballast = [bytearray(11_568) for _ in range(200)]
for _ in range(20):
    os.kill(os.getpid(), signal.SIGUSR1)
"""


@pytest.mark.parametrize("backend", CPU_BACKENDS)
def test_a_signal_after_runners_have_closed_reaches_its_handler(models_ready: Path, backend: str) -> None:
    command = [sys.executable, "-c", SIGNAL_AFTER_CLOSE, backend]
    assert subprocess.run(command, timeout=300, check=False).returncode == 0


def _templates(backend: str, models: Path, pictures: list[U8]) -> list[np.ndarray]:
    runner = open_runner(SFACE, backend=backend, threads=1, models=models)
    try:
        return [runner.run(picture)["template"].copy() for picture in pictures]
    finally:
        runner.close()


def test_templates_agree_with_the_packaged_file_on_the_reference_evaluator(recogniser: Runner, portrait: U8) -> None:
    from onnx.reference import ReferenceEvaluator

    crop = np.ascontiguousarray(portrait[:, 60:284:2, 60:284:2])
    judge = ReferenceEvaluator(str(packaged(RECOGNISER_DEFAULT)))
    (expected,) = judge.run(None, {"data": crop.transpose(0, 3, 1, 2).astype(np.float32)})
    assert difference(expected, recogniser.run(crop)["template"]).min_cosine > 0.99999


def test_detections_agree_with_the_packaged_file_in_opencv(models_ready: Path, portrait: U8) -> None:
    square = np.ascontiguousarray(np.pad(portrait, ((0, 0), (160, 160), (160, 160), (0, 0))))
    network = cv2.dnn.readNet(str(packaged(DETECTOR_DEFAULT)))
    network.setInput(cv2.dnn.blobFromImage(square[0], swapRB=True))
    names = list(YUNET.outputs)
    expected = dict(zip(names, network.forward(names), strict=True))
    for backend in CPU_BACKENDS:
        runner = open_runner(YUNET, backend=backend, threads=1, shape=(640, 640), models=models_ready)
        outputs = runner.run(square)
        assert outputs["cls_32"].max() > 0.8
        for name in names:
            assert np.abs(expected[name] - outputs[name]).max() < YUNET.tolerances["fp32"].max_abs, (backend, name)
        runner.close()


def test_both_runtimes_agree_on_real_and_synthetic_pictures(models_ready: Path, portrait: U8) -> None:
    for one, size in ((YUNET, (320, 320)), (SFACE, (112, 112))):
        real = portrait if size == (320, 320) else np.ascontiguousarray(portrait[:, 60:284:2, 60:284:2])
        first, second = (
            open_runner(one, backend=name, threads=1, shape=size, models=models_ready) for name in CPU_BACKENDS
        )
        for picture in [*synthetic(size, seed=6), real]:
            kept = {name: values.copy() for name, values in first.run(picture).items()}
            for name, values in second.run(picture).items():
                gap = difference(kept[name], values)
                assert one.tolerances["fp32"].allows(gap.max_abs, gap.min_cosine), (one.name, name, gap)
        first.close()
        second.close()


@pytest.fixture(scope="module")
def every_precision(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both models in every precision that can be made here."""
    models = tmp_path_factory.mktemp("models")
    for one in (YUNET, SFACE):
        for precision in {*preparable(one, models), "bf16-emulated"}:
            prepare(one, packaged(one.name), models, precision=precision)
    return models


@pytest.mark.parametrize(("backend", "precision"), [(b, p) for b in CPU_BACKENDS for p in precisions(b) if p != "fp32"])
def test_every_precision_keeps_to_the_tolerance_of_its_card(
    every_precision: Path, portrait: U8, backend: str, precision: str
) -> None:
    for one, size in ((YUNET, (320, 320)), (SFACE, (112, 112))):
        if precision not in {*preparable(one, every_precision), "bf16", "bf16-emulated"}:
            with pytest.raises(ModelMissing, match=rf"{precision}\.onnx: no such prepared model"):
                open_runner(one, backend=backend, threads=1, shape=size, precision=precision, models=every_precision)
            continue
        real = portrait if size == (320, 320) else np.ascontiguousarray(portrait[:, 60:284:2, 60:284:2])
        exact = open_runner(one, backend="onnxruntime", threads=1, shape=size, models=every_precision)
        other = open_runner(one, backend=backend, threads=1, shape=size, precision=precision, models=every_precision)
        for picture in [*synthetic(size, seed=6), real]:
            kept = {name: values.copy() for name, values in exact.run(picture).items()}
            for name, values in other.run(picture).items():
                gap = difference(kept[name], values)
                assert one.tolerances[precision].allows(gap.max_abs, gap.min_cosine), (one.name, name, gap)
                if picture is real and name == "template":
                    assert gap.min_cosine > (0.97 if precision == "int8" else 0.99)
        exact.close()
        other.close()
