"""Deployments by calendar year: rows and totals for answers under the Freedom of Information Act.

1. A deployment counts in the year in which it was first loaded (UTC, which is the time of the United Kingdom at the
   turn of the year).
2. Totals are sums of the rows; the rate is of the sums. Lists and thresholds are not summed.
3. A log that begins within or after a year cannot show that nothing was before: a remark says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tools.hub.report.home_office import CHAIN, COLUMNS, Cell, Row, Value
from tools.hub.report.shares import rate

SUMMED = (
    "duration_min",
    "faces_seen",
    "alerts",
    "alerts_positive",
    "alerts_incorrect",
    "alerts_not_adjudicated",
    "interventions_positive",
    "interventions_incorrect",
    "arrests",
    "arrests_unrelated",
    "other_disposals",
    "sign_dark_s",
    "uncounted_s",
    "refusals",
    "erasures",
)


@dataclass(frozen=True, slots=True)
class Year:
    """One calendar year: its deployments' rows, their totals, and what limits them."""

    year: int
    rows: tuple[Row, ...]
    totals: Row
    remarks: tuple[str, ...]


def year_of(year: int, rows: Sequence[Row], first_moments: Mapping[str, str]) -> Year:
    """The rows of one year. first_moments: by device, when its log begins."""
    mine = tuple(row for row in rows if str(row["date"].value or "")[:4] == str(year))
    return Year(year, mine, totals_of(mine, f"{year}, {len(mine)} deployments"), _remarks(year, first_moments))


def totals_of(rows: Sequence[Row], name: str) -> Row:
    """The totals of some rows (rule 2); a value that one row does not know is not known in the total."""
    sums: dict[str, Cell] = {}
    for column in SUMMED:
        values = [row[column].value for row in rows]
        known = [value for value in values if isinstance(value, int | float)]
        sums[column] = (round(sum(known), 3) if len(known) == len(values) else None) if rows else 0
    faces, false = int(sums["faces_seen"] or 0), int(sums["alerts_incorrect"] or 0)
    shown = rate(false, faces)
    sums |= {
        "deployment": name,
        "incorrect_alert_rate": shown.value,
        "incorrect_alert_rate_low": shown.low,
        "incorrect_alert_rate_high": shown.high,
        "balanced": "yes" if all(row["balanced"].value == "yes" for row in rows) else "no",
    }
    return {column: Value(sums.get(column), CHAIN) for column in COLUMNS}


def _remarks(year: int, first_moments: Mapping[str, str]) -> tuple[str, ...]:
    late = {device: at for device, at in sorted(first_moments.items()) if at[:10] > f"{year}-01-01"}
    return tuple(f"the log of {device} begins at {at}: what was before is not in it" for device, at in late.items())
