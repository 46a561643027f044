"""Golden tensors: an engine that answers otherwise is found out before it looks at anybody."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from engines.cards.catalogue import card
from engines.cards.model_card import DETECTOR_DEFAULT, RECOGNISER_DEFAULT, ModelCard, PackageSource
from engines.errors import BadOutput
from engines.manifest import verified
from engines.prepare.prepare import recipe_of
from engines.runner import F32, U8
from engines.select import open_runner
from engines.verify import golden
from engines.verify.synthetic_faces import crowd

YUNET, SFACE = card(DETECTOR_DEFAULT), card(RECOGNISER_DEFAULT)


class Replayed:
    """Answers each golden picture with its golden tensors, after `spoil`."""

    backend = "replayed"

    def __init__(self, spoil: str = "", name: str = RECOGNISER_DEFAULT) -> None:
        self._golden = golden.read(card(name))
        self._spoil = spoil
        self._next = 0

    def run(self, batch: U8) -> Mapping[str, F32]:
        index, self._next = self._next, self._next + 1
        outputs = {name: rows[index : index + 1].copy() for name, rows in self._golden.outputs.items()}
        if self._spoil == "nan":
            raise BadOutput("NaN came out")
        if self._spoil == "one value" and index == 1:
            next(iter(outputs.values())).flat[-1] += 0.2
        if self._spoil == "other face":
            outputs = {name: rows[1 - index : 2 - index].copy() for name, rows in self._golden.outputs.items()}
        if self._spoil == "shape":
            outputs = {name: rows[:, :1] for name, rows in outputs.items()}
        return outputs

    def close(self) -> None:
        """Nothing to give back."""


def reported(spoil: str, precision: str = "fp32", name: str = RECOGNISER_DEFAULT) -> str:
    one = card(name)
    return golden.disagreement(one, Replayed(spoil, name), precision, recipe_of(one))


@pytest.mark.parametrize("name", [DETECTOR_DEFAULT, RECOGNISER_DEFAULT])
def test_the_reference_agrees_with_itself(name: str) -> None:
    assert reported("", name=name) == ""


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        ("nan", "NaN came out"),
        ("one value", "template by 0.2"),
        ("other face", "cosine"),
        ("shape", r"shape (1, 1), the reference (1, 128)"),
    ],
)
def test_an_engine_with_other_outputs_is_described(spoil: str, words: str) -> None:
    found = reported(spoil)
    assert found.startswith(RECOGNISER_DEFAULT)
    assert words in found


def test_a_precision_without_a_tolerance_is_no_agreement() -> None:
    assert "no tolerance for int3" in reported("", precision="int3")


def test_golden_tensors_of_another_preparation_vouch_for_nothing() -> None:
    assert "recipe" in golden.disagreement(SFACE, Replayed(), "fp32", "sface/99")
    assert isinstance(SFACE.source, PackageSource)
    other = replace(SFACE, source=replace(SFACE.source, member_sha256="0" * 64))
    assert "other weights" in golden.disagreement(other, Replayed(), "fp32", recipe_of(SFACE))


@pytest.mark.parametrize("content", [None, b"", b"PK\x03\x04 cut off", b"no archive"])
def test_missing_or_damaged_golden_tensors_fail_the_test_and_do_not_raise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes | None
) -> None:
    monkeypatch.setattr(golden, "PACKAGED", tmp_path)
    if content is not None:
        (tmp_path / golden.file_name(SFACE.name)).write_bytes(content)
    runner = object.__new__(Replayed)
    assert str(tmp_path) in golden.disagreement(SFACE, runner, "fp32", recipe_of(SFACE))


@pytest.mark.parametrize("one", [YUNET, SFACE], ids=lambda one: one.name)
def test_the_packaged_tensors_are_what_the_reference_evaluator_gives(models_ready: Path, one: ModelCard) -> None:
    path, entry = verified(one, models_ready)
    fresh = golden.make(one, path, recipe_of(one), entry.source_sha256)
    stored = golden.read(one)
    assert (stored.source_sha256, stored.recipe) == (fresh.source_sha256, fresh.recipe)
    assert stored.pictures_sha256 == fresh.pictures_sha256
    for name, values in fresh.outputs.items():
        np.testing.assert_allclose(stored.outputs[name], values, rtol=0, atol=1e-4)


def test_a_file_comes_back_as_it_was_written(tmp_path: Path) -> None:
    stored = golden.read(SFACE)
    (tmp_path / golden.file_name(SFACE.name)).write_bytes(golden.as_bytes(stored))
    again = golden.read(SFACE, tmp_path)
    np.testing.assert_array_equal(again.outputs["template"], stored.outputs["template"])
    assert golden.as_bytes(again) == golden.as_bytes(stored)


def test_the_detector_is_sure_of_every_drawn_face(models_ready: Path) -> None:
    runner = open_runner(YUNET, backend="onnxruntime", threads=1, shape=(352, 640), models=models_ready)
    outputs = runner.run(crowd((352, 640), (0, 1, 2, 3)))
    score = np.concatenate([np.sqrt(outputs[f"cls_{s}"] * outputs[f"obj_{s}"])[0, :, 0] for s in (8, 16, 32)])
    assert (score > 0.8).sum() >= 4
    runner.close()
