"""What OpenVINO computes in where a file leaves it free."""

from __future__ import annotations

from pathlib import Path

import pytest

from engines.cards.catalogue import card
from engines.cards.model_card import RECOGNISER_DEFAULT
from engines.runners import select
from engines.runners.openvino import OpenVinoRunner
from engines.runners.select import open_runner

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(("bf16", "rest"), [(True, "bfloat16"), (False, "float32")])
def test_an_int8_file_computes_the_rest_in_bf16_where_the_cpu_does(
    bf16: bool, rest: str, models_ready: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(select, "_has_vnni", lambda: True)
    monkeypatch.setattr(select, "_has_bf16", lambda: bf16)
    runner = open_runner(card(RECOGNISER_DEFAULT), backend="openvino", threads=1, precision="int8", models=models_ready)
    assert isinstance(runner, OpenVinoRunner)
    hint = runner._request.get_compiled_model().get_property("INFERENCE_PRECISION_HINT")
    assert rest in str(hint)
    runner.close()
