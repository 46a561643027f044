"""A detector of one's own that decodes in its graph: the same faces as YuNet decoded outside, or a refusal."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from device.enrolment.model_sessions import ModelSessions
from engines.cards.catalogue import card
from engines.cards.model_card import DETECTOR_DEFAULT
from engines.errors import BadCard
from engines.prepare.custom_models import add
from engines.prepare.prepare import prepare
from engines.select import CPU_BACKENDS
from engines.verify.synthetic_faces import crowd


@pytest.fixture(scope="module")
def decoding(own_models: ModuleType, models_ready: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A models folder with the packaged models and one called "decoding"."""
    place = tmp_path_factory.mktemp("decoding")
    models = place / "models"
    shutil.copytree(models_ready, models)
    written, file = own_models.detector(place, models / card(DETECTOR_DEFAULT).file_name())
    prepare(add(written, file, models), file, models)
    return models


@pytest.mark.slow
@pytest.mark.parametrize("backend", CPU_BACKENDS)
@pytest.mark.parametrize("size", [(128, 128), (352, 640)])
def test_it_finds_the_faces_that_yunet_finds_where_it_finds_them(
    decoding: Path, backend: str, size: tuple[int, int]
) -> None:
    picture, shown = crowd(size, (0, 1))[0], (1280.0, 720.0)
    found = {}
    for name in (DETECTOR_DEFAULT, "decoding"):
        room = ModelSessions(f"{backend}:fp32", threads=1, models=decoding, detector=name)
        found[name] = room.detector(*size).detect(picture, frame_size=shown, origin=(10.0, 20.0))
        blank = room.detector(*size).detect(np.full_like(picture, 90), frame_size=shown)
        assert blank == []
        assert room.self_test() == ""
        room.close()
    ours, theirs = found[DETECTOR_DEFAULT], found["decoding"]
    assert len(ours) == len(theirs) > 0
    for one, other in zip(ours, theirs, strict=True):
        assert other.score == pytest.approx(one.score, abs=1e-4)
        np.testing.assert_allclose(other.box, one.box, atol=0.05)
        np.testing.assert_allclose(other.landmarks, one.landmarks, atol=0.05)


@pytest.mark.parametrize(
    ("outputs", "says"),
    [
        ({"boxes": "points", "points": "boxes"}, r"outputs.boxes: has shape \(1, \d+, 10\), \(1, M, 4\) is needed"),
        ({"boxes": "no-such"}, "outputs.boxes: the file has no output 'no-such'; it has scores, boxes, points"),
    ],
)
def test_outputs_that_are_not_what_the_card_says_are_refused(
    own_models: ModuleType, models_ready: Path, tmp_path: Path, outputs: dict[str, str], says: str
) -> None:
    _, file = own_models.detector(tmp_path, models_ready / card(DETECTOR_DEFAULT).file_name())
    wrong = own_models.detector_card(tmp_path, file, **outputs)
    with pytest.raises(BadCard, match=says):
        add(wrong, file, tmp_path / "models")
    assert not (tmp_path / "models").exists()
