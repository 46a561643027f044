"""The provisional operating point, until evidence made from a data set takes its place.

Source: open-set identification on LFW, one photo enrolled, FPIR 0.1 %: threshold .458 at a list of 100 people, .494 at
500, .516 at 1,822, .540 at 4,000 (measured 2026-11-22, YuNet + SFace). In between, linear in the logarithm of the list
size; outside, the nearest of the two ends. LFW is frontal press photography: the figure is no promise about a street.
"""

from __future__ import annotations

import itertools
import math

_POINTS = ((100, 0.458), (500, 0.494), (1822, 0.516), (4000, 0.540))
SOURCE = "provisional: LFW, FPIR 0.1 %, interpolated in log list size"


def provisional(subjects: int) -> float:
    """Threshold (cosine) for a list of `subjects` people."""
    if subjects <= _POINTS[0][0]:
        return _POINTS[0][1]
    for (n0, t0), (n1, t1) in itertools.pairwise(_POINTS):
        if subjects <= n1:
            share = (math.log(subjects) - math.log(n0)) / (math.log(n1) - math.log(n0))
            return t0 + share * (t1 - t0)
    return _POINTS[-1][1]
