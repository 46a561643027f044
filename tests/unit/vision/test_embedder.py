"""Templates: unit length, the raw length returned, nothing left behind."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from device.domain.sight import F32, U8
from device.vision.embedder import Embedder


class FakeRunner:
    """Gives `raw` for whatever it is shown, in a buffer of its own as runtimes do, and remembers the last picture."""

    def __init__(self, raw: F32) -> None:
        self.raw = raw
        self.seen: U8 = np.zeros(0, np.uint8)

    def run(self, batch: U8) -> Mapping[str, F32]:
        assert batch.shape == (1, 112, 112, 3)
        self.seen = batch.copy()
        return {"template": self.raw[None]}


TEMPLATE_DIM = 128
CROP = np.full((112, 112, 3), 140, np.uint8)


@pytest.mark.parametrize("length", [0.5, 6.9, 8.5, 13.0])
def test_the_template_has_length_1_and_the_raw_length_is_returned(length: float) -> None:
    raw = np.random.default_rng(1).normal(size=TEMPLATE_DIM).astype(np.float32)
    raw *= length / np.linalg.norm(raw)
    out = np.zeros(TEMPLATE_DIM, np.float32)
    assert Embedder(FakeRunner(given := raw.copy()), TEMPLATE_DIM).embed(CROP, out) == pytest.approx(length, rel=1e-5)
    assert np.linalg.norm(out) == pytest.approx(1.0, rel=1e-5)
    assert float(out @ raw) == pytest.approx(length, rel=1e-5)
    assert not given.any(), "the runtime's own copy of the template is overwritten"


def test_an_output_of_nothing_is_length_0_and_no_division_by_it() -> None:
    out = np.ones(TEMPLATE_DIM, np.float32)
    assert Embedder(FakeRunner(np.zeros(TEMPLATE_DIM, np.float32)), TEMPLATE_DIM).embed(CROP, out) == 0.0
    assert not out.any()


def test_the_template_is_the_callers_and_not_the_runtimes_buffer() -> None:
    runner = FakeRunner(np.ones(TEMPLATE_DIM, np.float32))
    out = np.zeros(TEMPLATE_DIM, np.float32)
    Embedder(runner, TEMPLATE_DIM).embed(CROP, out)
    runner.raw[:] = 0
    assert out.any()


def test_after_wipe_the_runtime_has_last_seen_a_blank() -> None:
    runner = FakeRunner(np.ones(TEMPLATE_DIM, np.float32))
    embedder = Embedder(runner, TEMPLATE_DIM)
    embedder.embed(CROP, np.zeros(TEMPLATE_DIM, np.float32))
    assert runner.seen.any()
    embedder.wipe()
    assert not runner.seen.any()
    assert not embedder._input.any()
