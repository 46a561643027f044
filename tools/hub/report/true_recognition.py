"""The true recognition rate: of logged passes of volunteers, how many were recognised; by group, with intervals.

1. A pass is recognised when a volunteer was recognised within WINDOW_S before or after it. A pass that names a
   volunteer takes that volunteer's recognition only; one without a name takes any that is left.
2. Recognitions of one volunteer within WINDOW_S of each other are one: two cameras do not make two of a pass.
3. A pass is counted SETTLED_S after it, when what belongs to it has arrived; from then on only numbers are kept: no
   reference, no time. A recognition without a pass is counted apart and is in no rate.
4. A volunteer who is taken off leaves no reference behind: passes and recognitions that wait are dropped.
5. Groups are what operators wrote. Only passes that name a volunteer have one: of the others who was missed is not
   known. A group with fewer than MINIMUM_CELL passes is withheld.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta

import msgspec

from device.domain.proportion import wilson
from device.domain.time import WallTime, rfc3339
from device.hub_api.messages import moment
from tools.hub.report.blue_tally import BlueTally, Waiting
from tools.hub.report.shares import Rate

WINDOW_S = 10.0
SETTLED_S = 30.0
MINIMUM_CELL = 10


class BlueFigures(msgspec.Struct, frozen=True, kw_only=True):
    """What is shown and reported. below: the rate is under the evidence's band; groups withheld are None."""

    rate: Rate
    without_pass: int
    groups: dict[str, Rate | None]
    band: tuple[float, float] | None
    below: bool


def logged(tally: BlueTally, at: WallTime, ref: str | None) -> None:
    """A pass was logged."""
    tally.waiting_passes = [*tally.waiting_passes, Waiting(rfc3339(at), ref)]


def recognised(tally: BlueTally, at: WallTime, ref: str) -> None:
    """A volunteer was recognised (rule 2)."""
    same = (moment(seen.at) for seen in tally.waiting_seen if seen.ref == ref)
    if not any(_near(at, other) for other in same):
        tally.waiting_seen = [*tally.waiting_seen, Waiting(rfc3339(at), ref)]


def forget(tally: BlueTally, refs: frozenset[str]) -> None:
    """Volunteers were taken off (rule 4)."""
    tally.waiting_passes = [each for each in tally.waiting_passes if each.ref not in refs]
    tally.waiting_seen = [each for each in tally.waiting_seen if each.ref not in refs]


def settle(tally: BlueTally, now: WallTime, group_of: Callable[[str], str | None]) -> bool:
    """Count what is old enough (rules 1 and 3); whether anything was."""
    latest = now - timedelta(seconds=SETTLED_S)
    due = [each for each in tally.waiting_passes if moment(each.at) <= latest]
    seen = list(tally.waiting_seen)
    for each in sorted(due, key=lambda one: (one.ref is None, one.at)):
        at = moment(each.at)
        fits = [s for s in seen if _near(at, moment(s.at)) and (each.ref is None or s.ref == each.ref)]
        if fits:
            seen.remove(min(fits, key=lambda s: abs((moment(s.at) - at).total_seconds())))
        tally.passes += 1
        tally.recognised += bool(fits)
        group = None if each.ref is None else group_of(each.ref)
        if group is not None:
            passes, found = tally.groups.get(group, (0, 0))
            tally.groups = {**tally.groups, group: (passes + 1, found + bool(fits))}
    old = [s for s in seen if moment(s.at) <= latest - timedelta(seconds=WINDOW_S)]
    tally.without_pass += len(old)
    tally.waiting_passes = [each for each in tally.waiting_passes if each not in due]
    changed = len(seen) - len(old) != len(tally.waiting_seen)
    tally.waiting_seen = [s for s in seen if s not in old]
    return bool(due) or changed


def figures(tally: BlueTally, band: tuple[float, float] | None) -> BlueFigures:
    """The rates with their 95 % intervals (Wilson), and whether the whole is under the evidence's band."""
    found = _share(tally.recognised, tally.passes)
    known = found.value is not None and tally.passes >= MINIMUM_CELL
    return BlueFigures(
        rate=found,
        without_pass=tally.without_pass,
        groups=_groups(tally.groups, tally.passes),
        band=band,
        below=bool(known and band is not None and (found.value or 0.0) < band[0]),
    )


def _groups(counted: Mapping[str, tuple[int, int]], total: int) -> dict[str, Rate | None]:
    """Small groups are withheld, and the smallest of the others while the total would show them (rule 5)."""
    shown = {group: passes for group, (passes, _) in counted.items() if passes >= MINIMUM_CELL}
    while shown and 0 < total - sum(shown.values()) < MINIMUM_CELL and len(shown) < len(counted):
        del shown[min(shown, key=lambda group: (shown[group], group))]
    return {
        group: _share(found, passes) if group in shown else None for group, (passes, found) in sorted(counted.items())
    }


def _share(found: int, passes: int) -> Rate:
    """Wilson's interval, which is valid for none and for all as well."""
    if passes <= 0:
        return Rate(events=found, of=passes, value=None, low=None, high=None, method="none")
    low, high = wilson(found / passes, passes)
    return Rate(events=found, of=passes, value=found / passes, low=low, high=high, method="wilson")


def _near(one: WallTime, other: WallTime) -> bool:
    return abs((one - other).total_seconds()) <= WINDOW_S
