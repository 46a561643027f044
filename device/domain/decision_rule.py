"""Which decision rule this program uses (evidence is for exactly one), and the step of it that several parts take."""

from __future__ import annotations

import numpy as np

from device.domain.sight import F32

DECISION_RULE = "running means of all and of the last 3 looks, mean of the two best, plain and mirrored/1"
"""Name and version. device.vision.decision and device.vision.passages implement the rule, and
calibration.statistics.decision_rules repeats it on photos. Whoever changes how looks are combined raises the version
and makes the evidence anew."""


def keep_two_best(best: F32, others: F32) -> None:
    """The two highest scores with every entry of two sets of looks, into `best`; `others` is zero afterwards.

    Both (..., 2, entries) float32, the higher score first; 0 where there was no look. A single look is (score, 0).
    """
    first, second, other_first, other_second = best[..., 0, :], best[..., 1, :], others[..., 0, :], others[..., 1, :]
    np.maximum(second, other_second, out=second)
    np.minimum(first, other_first, out=other_second)
    np.maximum(first, other_first, out=first)
    np.maximum(second, other_second, out=second)
    others.fill(0)
