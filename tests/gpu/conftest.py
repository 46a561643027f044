"""Tests on a real GPU with the real TensorRT. Without either they are skipped, with what is missing as the reason.

They had not been run anywhere when they were written (2026-11-24): no GPU was to be had. Whoever runs them first should
expect to mend them, and should write the printed figures with board, power mode and JetPack into engines/README.md.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engines import plans
from engines.build import Order, build
from engines.cards import ModelCard
from engines.errors import EnginesError
from engines.plans import Plan, Profile
from engines.prepare import preparable
from engines.runners.cuda import Gpu, GpuFacts
from engines.runners.tensorrt import TensorRtRunner
from engines.runners.tensorrt_api import bindings, version
from engines.select import BATCHES

SIZE = (352, 640)
Make = Callable[..., tuple[TensorRtRunner, Plan]]


@pytest.fixture(scope="session")
def gpu_here() -> GpuFacts:
    """What GPU there is; skips everything without one (the GPU is asked before TensorRT is touched)."""
    try:
        gpu = Gpu()
        gpu.close()
        found = version(bindings())
    except EnginesError as fault:
        pytest.skip(f"no GPU to test on: {fault}")
    print(f"\n{gpu.facts.name}, compute capability {gpu.facts.capability}, TensorRT {found}")
    return gpu.facts


@pytest.fixture(scope="session")
def made(gpu_here: GpuFacts, models_ready: Path, tmp_path_factory: pytest.TempPathFactory) -> Make:
    """Builds a plan once for the session, passes it by the gate that every build has, and opens a runner on it."""
    folder = tmp_path_factory.mktemp("plans")

    def make(card: ModelCard, precision: str = "fp32", size: tuple[int, int] = SIZE, **options: Any) -> Any:
        if precision not in preparable(card, models_ready) or precision not in card.tolerances:
            pytest.skip(f"{card.name} has no {precision} file that a device may use")
        height, width = card.input_size or size
        order = Order(card, precision, Profile(*BATCHES[card.role], height, width), models_ready, folder)
        plan, _ = build(replace(order, force=False), lambda *_: None)
        content, _ = plans.load(folder, plan.key)
        return TensorRtRunner(card, content, plan, Gpu(), **options), plan

    return make
