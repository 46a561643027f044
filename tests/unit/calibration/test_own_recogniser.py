"""A recogniser of one's own is what photos are read with and what an evaluation names; its evidence: tests/replay."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from calibration.data import reading
from calibration.data.faces import Faces
from calibration.data.reading import How, read_sets
from device.cli.main import main
from engines.cards.model_card import ModelCard
from tests.unit.calibration import synthetic


def people(count: int, photos: int) -> Faces:
    return synthetic.people(count, photos, noise=0.5, seed=2, dimensions=32)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[How]:
    """How the commands wanted photos read; what they get are people who do not exist."""
    how_asked: list[How] = []

    def read(folders: Sequence[Path], how: How, **_options: object) -> Faces:
        how_asked.append(how)
        return people(620, 3)

    monkeypatch.setattr(reading, "read_sets", read)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    return how_asked


def test_photos_are_read_with_the_recogniser_that_was_named(
    own_recogniser: ModelCard, samples: Callable[[str], list[Path]], tmp_path: Path
) -> None:
    for photo in samples("public")[:3]:
        (tmp_path / "set" / photo.stem).mkdir(parents=True)
        shutil.copy(photo, tmp_path / "set" / photo.stem)
    widths = {
        name: read_sets([tmp_path / "set"], How("onnxruntime:fp32", None, None, False, 1, recogniser=name)).templates
        for name in ("tiny", None)
    }
    assert [rows.shape[1] for rows in widths.values()] == [64, 128]


@pytest.mark.slow
def test_an_evaluation_names_the_recogniser_that_it_measured(
    own_recogniser: ModelCard, asked: list[How], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--backend", "onnxruntime", "--no-cache", "--json", "--lists", "100"]
    assert main(["evaluate", str(tmp_path), *words, "--recogniser", "tiny"]) == 0
    engine = json.loads(capsys.readouterr().out)["engine"]
    assert (engine["recogniser"], engine["recogniser_sha256"]) == ("tiny", own_recogniser.source_sha256)
    assert asked[0].recogniser == "tiny"


@pytest.mark.parametrize(
    ("option", "words"), [("--recogniser=no-such", "unknown model"), ("--detector=sface-2021dec", "is a recogniser")]
)
@pytest.mark.parametrize("command", ["evaluate", "operating-point"])
def test_a_model_that_there_is_not_is_a_usage_error_before_anything_is_read(
    command: str, option: str, words: str, asked: list[How], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    key, out = tmp_path / "k", tmp_path / "evidence.json"
    assert main(["calibrate", "key", str(key)]) == 0
    calls = {
        "evaluate": ["evaluate", str(tmp_path)],
        "operating-point": ["calibrate", "operating-point", str(tmp_path), "--key", str(key), "--out", str(out)],
    }
    assert main([*calls[command], option]) == 64
    assert words in capsys.readouterr().err
    assert asked == []
