"""Uncertainty with people as the unit: bootstrap weights and percentile intervals.

A person's photos belong together, and one person appears in many comparisons. So people are drawn with replacement,
and a comparison of two people counts as often as both were drawn; someone who was drawn twice is never compared with
themselves. The same people stand on both sides of a comparison and in every threshold's rate: intervals of two rows of
one table overlap in their data and must not be read as independent.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from device.domain.proportion import wilson

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]


def weights(strata: NDArray[np.intp], replicates: int, seed: int) -> I64:
    """(people, replicates) how often each person was drawn; each source keeps its size."""
    rng = np.random.default_rng(seed)
    drawn = np.zeros((len(strata), replicates), np.int64)
    for stratum in np.unique(strata):
        members = np.flatnonzero(strata == stratum)
        drawn[members] = rng.multinomial(len(members), np.full(len(members), 1 / len(members)), replicates).T
    return drawn


def interval(values: F64, confidence: float = 0.95) -> tuple[float, float]:
    """Percentile interval of bootstrap values; values that could not be computed (NaN) are left out."""
    known = values[np.isfinite(values)]
    if not len(known):
        return math.nan, math.nan
    low, high = np.quantile(known, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


def share_interval(share: float, replicates: F64, people: float) -> tuple[float, float]:
    """Bootstrap interval of a share of people; where it saw almost no events, not narrower than Wilson's."""
    low, high = interval(replicates)
    if min(share, 1 - share) * people < 5 or not math.isfinite(low):
        wide = wilson(share, people)
        low, high = float(np.fmin(low, wide[0])), float(np.fmax(high, wide[1]))
    return min(low, share), max(high, share)
