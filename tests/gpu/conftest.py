"""Tests on a real GPU with the real TensorRT. Without either they are skipped, with what is missing as the reason.

They had not been run anywhere when they were written (2026-11-24): no GPU was to be had. Whoever runs them first should
expect to mend them, and should write the printed figures with board, power mode and JetPack into engines/README.md.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from engines.cards.model_card import ModelCard
from engines.errors import EnginesError
from engines.plan_build import Order, build
from engines.prepare.prepare import preparable
from engines.select import BATCHES
from engines.tensorrt import plans
from engines.tensorrt.api import bindings, version
from engines.tensorrt.cuda import Gpu, GpuFacts
from engines.tensorrt.plans import Profile
from engines.tensorrt.runner import TensorRtRunner, TensorRtSampled

SIZE = (352, 640)


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


class Made:
    """Builds a plan once for the session, passes it by the gate that every build has, and opens a runner on it."""

    def __init__(self, cache: Path, models: Path) -> None:
        """`cache` is laid out as $LFR_CACHE is, so that another process may open what was built here."""
        self.cache, self._models, self._plans = cache, models, cache / "plans"
        (cache / "models").symlink_to(models)

    def __call__(
        self,
        card: ModelCard,
        precision: str = "fp32",
        size: tuple[int, int] = SIZE,
        frame: tuple[int, int] | None = None,
        **options: Any,
    ) -> Any:
        if precision not in preparable(card, self._models) or precision not in card.tolerances:
            pytest.skip(f"{card.name} has no {precision} file that a device may use")
        profile = Profile(*BATCHES[card.role], *(card.input_size or size), frame)
        plan, _ = build(Order(card, precision, profile, self._models, self._plans), lambda *_: None)
        content, _ = plans.load(self._plans, plan.key)
        if frame is not None:
            return TensorRtSampled(card, content, plan, Gpu(), scratch=None), plan
        return TensorRtRunner(card, content, plan, Gpu(), **options), plan


@pytest.fixture(scope="session")
def made(gpu_here: GpuFacts, models_ready: Path, tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Plans of this session, under a cache of its own."""
    return Made(tmp_path_factory.mktemp("cache"), models_ready)
