"""A share with its 95 % interval: Wilson's (1927); without an event the rule of three (Hanley, Lippman-Hand 1983)."""

from __future__ import annotations

import msgspec

from device.domain.proportion import wilson


class Rate(msgspec.Struct, frozen=True, kw_only=True):
    """A share with its sample size; `value` is None without one. method: wilson | rule_of_three | none."""

    events: int
    of: int
    value: float | None
    low: float | None
    high: float | None
    method: str


def rate(events: int, of: int) -> Rate:
    """A share with its 95 % interval."""
    if of <= 0:
        return Rate(events=events, of=of, value=None, low=None, high=None, method="none")
    if events == 0:
        return Rate(events=0, of=of, value=0.0, low=0.0, high=min(1.0, 3 / of), method="rule_of_three")
    share = events / of
    low, high = wilson(share, of)
    return Rate(events=events, of=of, value=share, low=low, high=high, method="wilson")
