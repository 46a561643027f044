"""Minimum cells of a public report: which counts of people may be shown, so that no small one can be calculated.

1. A count below the minimum is withheld, zero included: else a zero beside a known sum would show its neighbours.
2. A total of one column is shown when none of its cells is withheld, or when it shows nothing of a withheld one: the
   withheld cells, each between 0 and minimum - 1, must be able to have any of these values with that sum.
3. A total with its parts: when a part is withheld, others are, too, in a fixed order (by size would show which is
   larger), until the withheld ones can share their known sum; all look the same. Of a
   withheld total no part is shown: the parts bound it from below, and from above with their own minimum.
4. A rate shows its numerator, so it is withheld with it; and a count that is within another (arrests within positive
   alerts) is a lower bound of it, so it is withheld with that one, too.

Two reports can be compared, too. So a deployment's rows have only counts that are totalled in columns, alerts' parts
are published once, for the year, and neither is published before it is final (`public_report.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

MINIMUM = 5


def cell(value: int | None, minimum: int = MINIMUM) -> int | None:
    """A count, or None when it is withheld (rule 1)."""
    return value if value is not None and value >= minimum else None


def column_total(values: Sequence[int], minimum: int = MINIMUM) -> int | None:
    """The sum of a column whose cells are published by `cell`; None when it is withheld (rule 2)."""
    withheld = [value for value in values if value < minimum]
    total, hidden, largest = sum(values), sum(withheld), minimum - 1
    if withheld and not largest <= hidden <= (len(withheld) - 1) * largest:
        return None
    return cell(total, minimum)


def total_and_parts(
    parts: Mapping[str, int], minimum: int = MINIMUM, *, total_known: bool = True
) -> dict[str, int | None]:
    """The parts of a total that is published (total_known) or withheld itself (rule 3); the first go first."""
    shown: dict[str, int | None] = {
        name: cell(value, minimum) if total_known else None for name, value in parts.items()
    }
    for name in parts:
        if _safe(parts, shown, minimum):
            break
        shown[name] = None
    return shown


def within(value: int, whole: int | None, minimum: int = MINIMUM) -> int | None:
    """A count that is within another one, as that is shown (rule 4)."""
    return None if whole is None else cell(value, minimum)


def _safe(parts: Mapping[str, int], shown: Mapping[str, int | None], minimum: int) -> bool:
    """Whether nothing withheld can be calculated from the total."""
    withheld = [parts[name] for name, value in shown.items() if value is None]
    return not withheld or (len(withheld) >= 2 and sum(withheld) >= 2 * minimum - 1)
