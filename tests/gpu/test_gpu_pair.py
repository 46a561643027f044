"""On a GPU: a pair of recognisers, SFace and a small added one; and the published screen where it was fetched."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from device.cli.main import main
from device.enrolment.model_sessions import ModelSessions
from engines.cards.catalogue import card
from engines.cards.model_card import SCREEN_0095, ModelCard
from engines.errors import EnginesError
from engines.manifest import verified
from engines.select import open_runner
from engines.tensorrt.cuda import GpuFacts
from engines.verify.compare import difference, synthetic
from engines.verify.golden import pictures
from tests.gpu.conftest import Made

pytestmark = pytest.mark.gpu


def test_a_pair_is_built_self_tested_and_gives_the_template_that_the_cpu_gives(
    gpu_here: GpuFacts, own_recogniser: ModelCard, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["engines", "build", "--precision", "fp32", "--size", "128x128"]) == 0
    backends, screen = ("tensorrt:fp32", "onnxruntime:fp32"), own_recogniser.name
    rooms = [ModelSessions(backend, threads=1, screen=screen) for backend in backends]
    try:
        for room in rooms:
            assert room.self_test() == ""
        for one in rooms[0].recognisers.cards:
            found = []
            for room in rooms:
                found.append(np.zeros((1, one.length_of_template), np.float32))
                room.embedders()[one.name].embed(pictures(one)[0][0], found[-1][0])
            assert difference(*found).min_cosine > 0.9999, one.name
    finally:
        for room in rooms:
            room.close()
    print(capsys.readouterr().out)


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
@pytest.mark.parametrize("frame", [None, (1080, 1920)], ids=["pictures", "frames"])
def test_the_published_screen_is_built_in_every_precision(
    made: Made, models_ready: Path, precision: str, frame: tuple[int, int] | None
) -> None:
    """`made` holds each plan against the CPU before it keeps it."""
    one = card(SCREEN_0095)
    try:
        verified(one, models_ready, precision)
    except EnginesError as fault:
        pytest.skip(f"`lfr engines fetch {SCREEN_0095}` and `lfr engines prepare`: {fault}")
    runner, plan = made(one, precision, frame=frame)
    try:
        print(f"{one.name} {precision}: built in {plan.seconds:.0f} s, differs from the CPU by {plan.max_abs:.2e}")
        if frame is None and one.input_size is not None:
            cpu = open_runner(one, backend="onnxruntime", threads=1, models=models_ready)
            for picture in synthetic(one.input_size, seed=11):
                gap = difference(cpu.run(picture)["template"].copy(), runner.run(picture)["template"])
                assert one.tolerances[precision].allows(gap.max_abs, gap.min_cosine)
            cpu.close()
    finally:
        runner.close()
