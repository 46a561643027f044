"""Templates: one aligned crop in, one unit vector out."""

from __future__ import annotations

import numpy as np

from device.domain.sight import F32, U8
from device.vision.align import ARCFACE, Alignment
from device.vision.detector import Runner
from engines.cards.model_card import Lengths


class Embedder:
    """Runs the recogniser on one crop at a time and normalises.

    One at a time: on CPU runtimes a batch is no faster (engines/README.md), and no crop waits for others.
    """

    def __init__(
        self, runner: Runner, template_dim: int, lengths: Lengths | None = None, alignment: Alignment = ARCFACE
    ) -> None:
        """`lengths`: what the recogniser's card says of the raw length of its templates; `alignment`: of its crops."""
        self.alignment = alignment
        self.template_dim = template_dim
        self.lengths = lengths
        self._runner = runner
        self._input = np.zeros((1, *alignment.size, 3), np.uint8)

    def embed(self, crop: U8, out: F32) -> float:
        """Write the unit template of `crop` (*alignment.size, 3) uint8 RGB into `out`; return the raw length.

        The length's meaning: `quality.template_quality`. SFace's: 10 to 14 for faces, about 5 for noise (measured
        2026-11-22 on LFW).
        """
        self._input[0] = crop
        raw = self._runner.run(self._input)["template"][0]
        self._input[:] = 0
        return normalised(raw, out)

    def wipe(self) -> None:
        """Overwrite the input and run once on the blank, so that the runtime's own buffers hold no face."""
        self._input[:] = 0
        self._runner.run(self._input)


def normalised(raw: F32, out: F32) -> float:
    """Write a runner's raw template as a unit vector into `out`, overwrite it, and return how long it was."""
    length = float(np.linalg.norm(raw))
    np.divide(raw, max(length, 1e-6), out=out)
    raw[:] = 0  # the runtime's own output, or an array of its own
    return length
