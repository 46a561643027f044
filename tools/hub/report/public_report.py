"""The public report: one page in English and Welsh that discloses no person and no tactics.

1. Shown are place, date, purpose, controller, what authorised it, duration, size of the list, threshold, faces seen and
   alerts of each deployment, and for a whole year what came of the alerts. Not shown: devices, cameras, refusals,
   hashes, receipts.
2. Counts of people pass through `suppression.py`.
3. Published is what cannot change any more, because a later report could be compared with an earlier one: a deployment
   after its end, a year FINAL_DAYS after its end, when the last alert of it is erased or judged. A year is published
   whole: a part of it could be subtracted from it.
"""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta, timezone
from typing import Protocol

from device.domain.retention import CEILING_DAYS
from device.domain.time import WallTime
from device.errors import RefusedByCondition
from device.hub_api.messages import moment
from tools.hub.language.words import LANGUAGES, Words
from tools.hub.report import home_office
from tools.hub.report.audit_counts import ChainCounts
from tools.hub.report.home_office import Cell, Row
from tools.hub.report.shares import rate
from tools.hub.report.suppression import MINIMUM, cell, column_total, total_and_parts, within
from tools.hub.report.years import Year

FINAL_DAYS = CEILING_DAYS


def _labels(*names: str) -> dict[str, str]:
    """The Home Office table's own labels for some of its columns."""
    return {name: home_office.COLUMNS[name] for name in names}


COLUMNS: Mapping[str, str] = _labels(
    "date",
    "place",
    "type",
    "purpose",
    "controller",
    "seriousness",
    "authorising_rank",
    "regulator_reference",
    "alternative_route",
    "duration_min",
    "watchlist_subjects",
    "watchlist_images",
    "threshold",
    "faces_seen",
    "alerts",
    "sign_dark_s",
    "balanced",
)
PEOPLE = ("watchlist_subjects", "watchlist_images", "faces_seen", "alerts")
TOTALS: Mapping[str, str] = {
    "deployments": "Deployments",
    **_labels(
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
        "incorrect_alert_rate",
        "incorrect_alert_rate_low",
        "incorrect_alert_rate_high",
        "sign_dark_s",
    ),
}
_WITHIN = {
    "interventions_positive": "alerts_positive",
    "interventions_incorrect": "alerts_incorrect",
    "arrests": "alerts_positive",
    "arrests_unrelated": "alerts_incorrect",
    "other_disposals": "alerts_positive",
}
"""What came of alerts, to the alerts that it came of."""
WITHHELD = "withheld: fewer than {minimum}, or it would show such a number"
UNKNOWN = "not known"
NOTES = (
    "Faces seen are passages through the zone that were compared with the watchlist. Everybody who did not match was"
    " erased at once.",
    "An alert is a possible match that a person judged. The incorrect alert rate is the share of incorrect alerts in"
    " all faces seen.",
    "Counts of people below {minimum} are withheld, so that nobody can be recognised from this report.",
)
TITLE = "Live facial recognition: report for the public"
Public = Mapping[str, Cell]


class Published(Protocol):
    """What is asked of the hub's record of a deployment (publishing/deployment_records.py). over: its window's end."""

    @property
    def id(self) -> str: ...
    @property
    def devices(self) -> Sequence[str]: ...
    @property
    def published_at(self) -> datetime: ...
    @property
    def over(self) -> WallTime: ...


def require_final(counts: Mapping[str, ChainCounts], now: WallTime) -> None:
    """RefusedByCondition for a deployment that has not ended (rule 3)."""
    latest = now - timedelta(days=FINAL_DAYS)
    for name, chain in counts.items():
        running = set(chain.devices) - chain.ended
        if running and chain.last_at > latest.isoformat()[:19]:
            raise RefusedByCondition(
                "report public",
                f"{name} has not ended in the log of {', '.join(sorted(running))}; publish it after its end",
            )


def require_year_over(year: int, now: WallTime) -> None:
    """RefusedByCondition for a year whose figures may still change (rule 3)."""
    first = date(year + 1, 1, 1) + timedelta(days=FINAL_DAYS)
    if now.date() < first:
        raise RefusedByCondition("report public", f"the figures of {year} are final from {first} on")


def require_whole_year(
    year: int, records: Sequence[Published], counts: Mapping[str, ChainCounts], first_moments: Mapping[str, str]
) -> None:
    """RefusedByCondition for a year of which the given logs lack a deployment that this hub published (rule 3).

    counts: every deployment of the given logs; first_moments: by device, when its given log begins. A deployment whose
    devices' logs all begin before its publication and do not have it was never loaded: it has no figures.
    """
    lacking = []
    for record in records:
        if not record.published_at.astimezone(timezone.utc).year <= year <= record.over.year:
            continue
        begins = [first_moments.get(device) for device in record.devices]
        whole = all(at and (record.id in counts or moment(at) <= record.published_at) for at in begins)
        if not whole:
            lacking.append(f"{record.id} ({', '.join(record.devices)})")
    if lacking:
        raise RefusedByCondition(
            "report public",
            f"the given logs lack of {year}: {'; '.join(lacking)}; a year is published whole: give --audit DEVICE=LOG"
            " for every device that is named, from before the publication on",
        )


def public_row(row: Row, minimum: int = MINIMUM) -> Public:
    """One deployment's public row; None in a count of PEOPLE: withheld."""
    values = {name: row[name].value for name in COLUMNS}
    return {name: cell(_whole(value), minimum) if name in PEOPLE else value for name, value in values.items()}


def public_totals(year: Year, minimum: int = MINIMUM) -> Public:
    """One year's public totals; None: withheld."""
    whole = {name: _whole(year.totals[name].value) or 0 for name in TOTALS if name in year.totals}
    columns = {name: [_whole(row[name].value) or 0 for row in year.rows] for name in ("faces_seen", "alerts")}
    shown: dict[str, Cell] = {name: column_total(values, minimum) for name, values in columns.items()}
    positive, incorrect = whole["alerts_positive"], whole["alerts_incorrect"]
    parts = {
        "alerts_not_adjudicated": max(0, whole["alerts"] - positive - incorrect),
        "alerts_positive": positive,
        "alerts_incorrect": incorrect,
    }
    found_parts = total_and_parts(parts, minimum, total_known=shown["alerts"] is not None)
    shown |= found_parts
    shown |= {name: within(whole[name], found_parts[alerts], minimum) for name, alerts in _WITHIN.items()}
    known = shown["faces_seen"] is not None and shown["alerts_incorrect"] is not None
    found = rate(incorrect, whole["faces_seen"]) if known else None
    shown |= {
        "deployments": len(year.rows),
        "incorrect_alert_rate": found.value if found else None,
        "incorrect_alert_rate_low": found.low if found else None,
        "incorrect_alert_rate_high": found.high if found else None,
        "sign_dark_s": year.totals["sign_dark_s"].value,
    }
    return {name: shown[name] for name in TOTALS}


def as_html(rows: Sequence[Public], years: Mapping[int, Public], draft: str, minimum: int = MINIMUM) -> str:
    """One page that loads nothing and prints: English, then Welsh. draft: the mark of Welsh nobody has approved."""
    parts = [_HEAD.format(title=TITLE)]
    for language in LANGUAGES:
        words = Words(language)
        parts.append(f'<article lang="{language}"><h1>{_escaped(words(TITLE))}</h1>')
        if language == "cy" and draft:
            parts.append(f'<p class="draft">{_escaped(draft)}</p>')
        for year, totals in years.items():
            parts += _table(str(year), totals, TOTALS, words, minimum)
        for row in rows:
            parts += _table(
                f"{row['date']}, {row['place'] or words('place not recorded')}", row, COLUMNS, words, minimum
            )
        parts += [f"<p>{_escaped(words(note).format(minimum=minimum))}</p>" for note in NOTES]
        parts.append("</article>")
    parts.append("</main></body></html>\n")
    return "\n".join(parts)


def as_json(
    rows: Sequence[Public], years: Mapping[int, Public], draft: str, minimum: int = MINIMUM
) -> dict[str, object]:
    """The same as one object; a withheld count is null."""
    return {
        "title": {language: Words(language)(TITLE) for language in LANGUAGES},
        "welsh_is_draft": bool(draft),
        "minimum_cell": minimum,
        "years": {str(year): dict(totals) for year, totals in years.items()},
        "deployments": [dict(row) for row in rows],
    }


def _table(title: str, values: Public, labels: Mapping[str, str], words: Words, minimum: int) -> list[str]:
    lines = [f"<section><h2>{_escaped(title)}</h2><table><tbody>"]
    for name, label in labels.items():
        shown = _shown(name, values[name], labels, words, minimum)
        lines.append(f"<tr><th scope=row>{_escaped(words(label))}</th><td>{_escaped(shown)}</td></tr>")
    return [*lines, "</tbody></table></section>"]


def _shown(name: str, value: Cell, labels: Mapping[str, str], words: Words, minimum: int) -> str:
    if value is None:
        people = name in PEOPLE or (labels is TOTALS and name != "sign_dark_s")
        return words(WITHHELD).format(minimum=minimum) if people else words(UNKNOWN)
    if isinstance(value, float):
        return f"{value:.6g}"
    return words(value) if name in ("type", "balanced") and isinstance(value, str) else f"{value}"


def _whole(value: Cell) -> int | None:
    return round(value) if isinstance(value, int | float) else None


def _escaped(text: str) -> str:
    return html.escape(text)


_HEAD = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title><style>
body {{ font: 11pt/1.4 system-ui, sans-serif; max-width: 50rem; margin: 2rem auto; padding: 0 1rem; }}
table {{ border-collapse: collapse; width: 100%; }}
th, td {{ text-align: left; padding: .25rem .6rem; border-bottom: 1px solid #ccc; font-weight: 400; }}
td {{ font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }}
article + article {{ break-before: page; margin-top: 3rem; }}
.draft {{ border: 2px solid #8a5a00; color: #6b4600; padding: .5rem .8rem; font-weight: 700; }}
</style></head><body><main>"""
