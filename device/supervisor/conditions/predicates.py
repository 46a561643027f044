"""The row *operating point*: is what the workers predict for this list known, and within its limit?"""

from __future__ import annotations

from device.domain.operating_point import per_thousand
from device.supervisor.conditions.snapshot import Snapshot

REMEDY = "shorten the list, leave out `vision.threshold`, or make evidence that covers it (calibration/README.md)"


def covered(s: Snapshot) -> bool | None:
    """Whether every worker's threshold has evidence, and its bound meets the limit."""
    if s.deployment is None or not s.operating_points:
        return None
    return all(not p.problem and p.bound is not None and p.bound <= p.limit for p in s.operating_points)


def objections(s: Snapshot) -> str:
    """What is wrong with the operating points, in words."""
    over = (p for p in s.operating_points if p.bound is not None and p.bound > p.limit)
    words = [f"up to {per_thousand(p.bound or 0)} in 1,000 faces, limit {per_thousand(p.limit)}" for p in over]
    return "; ".join(dict.fromkeys([p.problem for p in s.operating_points if p.problem] or words or ["no evidence"]))


def prediction(s: Snapshot) -> str:
    """The worst of the workers' predictions with its bound."""
    rates = [(p.bound, p.predicted, p.limit) for p in s.operating_points if None not in (p.bound, p.predicted)]
    bound, predicted, limit = max(rates, key=lambda r: r[0] or 0.0)
    return (
        f"{per_thousand(predicted or 0)} false alerts in 1,000 faces are predicted for this list, "
        f"at most {per_thousand(bound or 0)}; the limit is {per_thousand(limit)}"
    )
