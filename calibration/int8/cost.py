"""The cost of int8 against fp32, as a calibration table states it."""

from __future__ import annotations

from collections.abc import Sequence

from calibration.evidence.precision_change import change
from device.domain.sight import F32
from engines.graph.calibration_table import Cost


def cost(people: Sequence[str], exact: F32, other: F32) -> Cost:
    """Compare unit templates (n, d) of the same photos of `people`, fp32's and int8's. Raises BadData."""
    (one,) = change(people, exact, other)
    return Cost(
        fpir=one.fpir,
        tpir_fp32=round(one.first, 5),
        tpir_int8=round(one.second, 5),
        points=round(-one.points, 3),
        low=round(-one.high, 3),
        high=round(-one.low, 3),
        listed=one.listed,
        mated=one.mated,
        unmated=one.unmated,
    )
