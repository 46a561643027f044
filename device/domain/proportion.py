"""Uncertainty of a share: Wilson's 95 % interval."""

from __future__ import annotations

from math import sqrt

Z_95 = 1.959964
"""97.5 % quantile of the normal distribution."""


def wilson(share: float, trials: float) -> tuple[float, float]:
    """Wilson's 95 % interval (1927) of `share` seen in `trials`; valid also for a share of 0 or 1.

    Returns bounds in 0..1; (0, 1) without a trial.
    """
    if trials <= 0:
        return 0.0, 1.0
    z2 = Z_95 * Z_95
    middle = (share + z2 / (2 * trials)) / (1 + z2 / trials)
    half = Z_95 / (1 + z2 / trials) * sqrt(share * (1 - share) / trials + z2 / (4 * trials * trials))
    return max(0.0, middle - half), min(1.0, middle + half)
