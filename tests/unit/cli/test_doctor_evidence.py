"""lfr doctor and the evidence: what ships is whole, or the line says that it is not; what is configured is covered."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from device.cli.doctor import checks, evidence
from device.config.model import Vision
from device.evidence import artefact
from engines.cards.model_card import RECOGNISER_DEFAULT, ModelCard


def test_the_evidence_that_ships_is_named_with_its_precisions_and_its_longest_list() -> None:
    assert evidence.shipped_evidence in checks.CHECKS
    (found,) = evidence.shipped_evidence()
    assert (found.name, found.level) == ("evidence", "ok")
    assert "sface-2021dec/" in found.text
    assert "fp32, bf16, int8, fp16; lists of up to 38,500 people" in found.text


def test_evidence_that_was_changed_since_it_was_signed_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = artefact.shipped(RECOGNISER_DEFAULT).read_text()
    (tmp_path / f"{RECOGNISER_DEFAULT}.json").write_text(text.replace('"limit": 0.001', '"limit": 0.002'))
    monkeypatch.setattr(artefact, "FOLDER", tmp_path)
    (found,) = evidence.shipped_evidence()
    assert (found.level, found.remedy) == ("fail", "install the program again")
    assert "changed after it was signed" in found.text


def test_a_configuration_of_the_default_engine_is_covered(models_ready: Path) -> None:
    (found,) = evidence.of_vision(Vision(backend="onnxruntime"))
    made = json.loads(artefact.shipped(RECOGNISER_DEFAULT).read_text())["made_at"][:10]
    assert (found.level, found.text.partition(":")[0]) == ("ok", f"sface-2021dec/{made} fp32")


def test_a_configured_recogniser_without_evidence_fails_before_a_device_is_started(own_recogniser: ModelCard) -> None:
    (found,) = evidence.of_vision(Vision(backend="onnxruntime", recogniser="tiny"))
    assert found.level == "fail"
    assert "no evidence is shipped for recogniser 'tiny'" in found.text
