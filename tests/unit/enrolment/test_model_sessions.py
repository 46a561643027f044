"""Engines: names are obeyed or refused, sizes are kept within bounds."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from device.enrolment import model_sessions
from device.enrolment.model_sessions import KEPT_SIZES, ModelSessions, resolved
from device.errors import EngineUnavailable, UsageError
from engines.cards.catalogue import card
from engines.cards.model_card import DETECTOR_DEFAULT
from engines.errors import EngineMissing
from engines.prepare.custom_models import add
from engines.prepare.prepare import prepare
from engines.select import BACKENDS, default_backend, default_precision, precisions
from engines.verify.synthetic_faces import crop


@pytest.mark.parametrize("name", [None, "auto"])
def test_without_a_name_it_is_the_fastest_of_this_machine(name: str | None) -> None:
    assert resolved(name) == f"{default_backend()}:{default_precision(default_backend())}"


@pytest.mark.parametrize("name", BACKENDS)
def test_a_bare_name_means_its_exact_precision(name: str) -> None:
    assert resolved(name) == f"{name}:fp32"


@pytest.mark.parametrize("name", BACKENDS)
def test_every_precision_that_there_is_can_be_named(name: str) -> None:
    for precision in precisions(name):
        assert resolved(f"{name}:{precision}") == f"{name}:{precision}"


@pytest.mark.parametrize(
    "name", ["", "tensorflow", "OpenVINO", "openvino:int3", "onnxruntime:bf16", "auto:fp32", ":fp32"]
)
def test_a_name_that_there_is_not_is_refused_and_never_replaced(name: str) -> None:
    with pytest.raises(UsageError) as refused:
        resolved(name)
    assert refused.value.exit_status == 64


def test_missing_models_are_unavailable_with_a_remedy(tmp_path: Path) -> None:
    sessions = ModelSessions("onnxruntime", threads=1, models=tmp_path)
    with pytest.raises(EngineUnavailable, match="lfr engines"):
        sessions.embedder()


def test_a_ctrl_c_while_a_runtime_is_imported_is_no_missing_runtime(monkeypatch: pytest.MonkeyPatch) -> None:
    """A binding's initialisation turns KeyboardInterrupt into ImportError (seen with OpenVINO, 1 Ctrl-C in 40)."""

    def interrupted(*model: object, **how: object) -> None:
        try:
            raise ImportError("initialization failed") from KeyboardInterrupt()
        except ImportError as fault:
            raise EngineMissing("openvino", "openvino") from fault

    monkeypatch.setattr(model_sessions, "open_runner", interrupted)
    with pytest.raises(KeyboardInterrupt):
        ModelSessions("onnxruntime", threads=1).embedder()


@pytest.fixture
def sessions(models_ready: Path) -> ModelSessions:
    return ModelSessions("onnxruntime", threads=1, models=models_ready)


def test_second_look_and_recogniser_are_made_once(sessions: ModelSessions) -> None:
    assert sessions.refiner() is sessions.refiner()
    assert sessions.embedder() is sessions.embedder()
    sessions.close()


def test_a_source_that_keeps_changing_its_size_keeps_few_detectors_and_the_newest_works(
    sessions: ModelSessions,
) -> None:
    for n in range(1, KEPT_SIZES + 4):
        detector = sessions.detector(32 * n, 64)
        picture = np.full((32 * n, 64, 3), 90, np.uint8)
        assert detector.detect(picture, frame_size=(64, 32 * n)) == []
    assert len(sessions._detectors) == KEPT_SIZES
    sessions.close()
    assert len(sessions._detectors) == 0


def test_second_look_finds_the_face_of_a_photo(sessions: ModelSessions, samples: Callable[[str], list[Path]]) -> None:
    import cv2

    from device.vision.picture import fit_square, warp_rgb

    photo = next(path for path in samples("public") if path.name == "obama.jpg")
    picture = cv2.imread(str(photo))
    assert picture is not None
    rgb = np.ascontiguousarray(picture[:, :, ::-1])
    square, covers = fit_square(rgb, 256)
    (face,) = sessions.detector(256, 256).detect(square, frame_size=covers)
    refined = sessions.refiner().refine(lambda to_patch, size: warp_rgb(rgb, to_patch, size), face)
    assert refined is not None
    assert np.abs(refined.landmarks - face.landmarks).max() < 0.15 * face.height_px
    sessions.close()


def test_its_engines_are_checked_against_the_golden_tensors(
    models_ready: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sessions = ModelSessions("onnxruntime", threads=1, models=models_ready)
    assert sessions.self_test() == ""
    monkeypatch.setattr(model_sessions, "recipe_of", lambda card: "another/1")
    reported = sessions.self_test()
    assert reported.count("golden tensors are of other weights or of recipe") == 2
    sessions.close()


def test_an_added_recogniser_gives_templates_as_long_as_its_card_says(
    models_ready: Path, tmp_path: Path, own_models: ModuleType
) -> None:
    folder = tmp_path / "models"
    shutil.copytree(models_ready, folder)
    written, file = own_models.recogniser(tmp_path, dim=512)
    add(written, file, folder)
    prepare(card("tiny", folder), tmp_path / "tiny.onnx", folder)
    sessions = ModelSessions("onnxruntime", threads=1, models=folder, recogniser="tiny")
    template = np.zeros(512, np.float32)
    sessions.embedder().embed(crop(112, 0)[0], template)
    assert np.linalg.norm(template) == pytest.approx(1, rel=1e-5)
    assert sessions.self_test() == ""
    sessions.close()


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ({"recogniser": DETECTOR_DEFAULT}, "is a detector; a recogniser is needed"),
        ({"detector": "no-such"}, "unknown model 'no-such'"),
        ({"recogniser": "../x"}, "unknown model"),
    ],
)
def test_a_model_that_cannot_play_its_role_is_refused(names: dict[str, str], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        ModelSessions("onnxruntime", threads=1, detector=names.get("detector"), recogniser=names.get("recogniser"))
