"""What OpenVINO is asked to compute in where a file leaves it free."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from engines.cards.catalogue import card
from engines.cards.model_card import RECOGNISER_DEFAULT
from engines.errors import EngineFailed
from engines.runners.openvino import OpenVinoRunner


class Asked:
    """Stands for openvino.Core: keeps what it is asked for and compiles nothing."""

    def __init__(self) -> None:
        self.wanted: dict[str, Any] = {}

    def read_model(self, path: str) -> Asked:
        return self

    def reshape(self, shapes: dict[str, list[int]]) -> None:
        """Any shape will do."""

    def compile_model(self, network: Asked, device: str, wanted: dict[str, Any]) -> None:
        self.wanted = wanted
        raise RuntimeError("compiles nothing")


@pytest.mark.parametrize(
    ("precision", "bf16", "hint"),
    [
        ("int8", True, "bf16"),
        ("int8", False, "f32"),
        ("fp32", True, "f32"),
        ("fp16", True, "f32"),
        ("bf16", True, "bf16"),
    ],
)
def test_only_an_int8_file_takes_bf16_for_the_rest_and_only_where_the_cpu_computes_it(
    precision: str, bf16: bool, hint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, runtime = Asked(), ModuleType("openvino")
    monkeypatch.setattr(runtime, "Core", lambda: asked, raising=False)
    monkeypatch.setitem(sys.modules, "openvino", runtime)
    with pytest.raises(EngineFailed, match="compiles nothing"):
        OpenVinoRunner(
            card(RECOGNISER_DEFAULT), Path("none.onnx"), threads=1, shape=None, precision=precision, bf16=bf16
        )
    assert asked.wanted["INFERENCE_PRECISION_HINT"] == hint
