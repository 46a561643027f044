"""The deployment report with the columns that the Home Office publishes, as HTML, CSV and JSON.

1. When the devices' audit logs are given, every number comes from them, once they verify; else from the hub's own
   counts. Those of the blue list are always the hub's: passes are logged there. Place, purpose, controller and owner
   come from the deployment that officers signed. Every value carries its source.
2. A share has its 95 % interval. What is not known is empty, never 0.
3. Nothing points to a person: no alert id, no entry, no label.
"""

from __future__ import annotations

import csv
import html
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from tools.hub.report.audit_counts import UNRELATED, ChainCounts
from tools.hub.report.deployment_report import Report
from tools.hub.report.shares import Rate, rate
from tools.hub.report.true_recognition import BlueFigures

Cell: TypeAlias = str | int | float | None
CHAIN, HUB, PLAN, HUB_CHAIN = "audit chain", "hub", "signed deployment", "hub's audit chain"


@dataclass(frozen=True, slots=True)
class Value:
    """One cell: its content as text or number (None: not known), and its source."""

    value: Cell
    source: str


Row = Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class Details:
    """The signed deployment's own fields."""

    place: str | None = None
    purpose: str | None = None
    controller: str | None = None
    owner: str | None = None
    seriousness: str | None = None
    authorising_rank: str | None = None
    regulator_reference: str | None = None
    alternative_route: str | None = None
    blue_list: BlueFigures | None = None
    blue_list_source: str = HUB
    devices: tuple[str, ...] = field(default_factory=tuple)


SIGNED: Mapping[str, str] = {
    "seriousness": "Seriousness",
    "authorising_rank": "Rank of the authorising officer",
    "regulator_reference": "Regulator's authorisation",
    "alternative_route": "Alternative route",
}
BLUE: Mapping[str, str] = {
    "blue_list_passes": "Blue list, logged passes",
    "blue_list_recognised": "Blue list, passes recognised",
    "true_recognition_rate": "True recognition rate (of logged passes)",
    "true_recognition_rate_low": "True recognition rate, 95 % interval, low",
    "true_recognition_rate_high": "True recognition rate, 95 % interval, high",
}
COLUMNS: Mapping[str, str] = {
    "deployment": "Deployment",
    "date": "Date",
    "type": "Type",
    "purpose": "Purpose",
    "place": "Place",
    "controller": "Controller",
    "owner": "Owner of the kit",
    **SIGNED,
    "duration_min": "Duration, minutes of recognition",
    "cameras": "Cameras",
    "watchlist_subjects": "Watchlist, subjects",
    "watchlist_images": "Watchlist, images",
    "threshold": "Threshold",
    "faces_seen": "Faces seen",
    "alerts": "Alerts",
    "alerts_positive": "Positive alerts",
    "alerts_incorrect": "Incorrect alerts",
    "alerts_not_adjudicated": "Alerts not adjudicated",
    "interventions_positive": "Positive interventions",
    "interventions_incorrect": "Incorrect interventions",
    "arrests": "Arrests",
    "arrests_unrelated": "Arrests unrelated to the match",
    "other_disposals": "Other disposals",
    "incorrect_alert_rate": "Incorrect alert rate (of faces seen)",
    "incorrect_alert_rate_low": "95 % interval, low",
    "incorrect_alert_rate_high": "95 % interval, high",
    **BLUE,
    "sign_dark_s": "Sign dark while recognising, seconds",
    "refusals": "Refusals",
    "erasures": "Erasures",
    "holds": "Holds",
    "detector_sha256": "Detector, SHA-256",
    "recogniser_sha256": "Recogniser, SHA-256",
    "balanced": "Faces seen balance",
    "uncounted_s": "Seconds uncounted, at most (starts that were killed)",
    "audit_chain": "Audit chain",
}


PLANNED = ("purpose", "place", "controller", "owner", *SIGNED)


def row_of(report: Report, details: Details, chain: ChainCounts | None) -> Row:
    """One deployment's row; keys as in COLUMNS. With a chain nothing is taken from the hub's counts (rule 1)."""
    return _hub_row(report, details) if chain is None else chain_row(report.deployment_id, details, chain)


def chain_row(deployment_id: str, details: Details, chain: ChainCounts) -> Row:
    """One deployment's row from its devices' verified logs alone, and the signed deployment's own fields."""
    outcomes, engaged, ended = chain.outcomes, chain.engagements, chain.dispositions
    values: dict[str, Cell] = {
        "deployment": deployment_id,
        "date": chain.first_at[:10] or None,
        "type": chain.mode,
        "duration_min": round(chain.recognising_s / 60, 1),
        "cameras": len(chain.cameras) or None,
        "watchlist_subjects": chain.subjects,
        "watchlist_images": chain.images,
        "threshold": chain.threshold,
        "faces_seen": chain.faces_seen,
        "alerts": chain.alerted,
        **_judged(outcomes, engaged, ended),
        **_share(rate(outcomes.get("false_alert", 0), chain.faces_seen)),
        "sign_dark_s": chain.sign_dark_ms / 1000 if chain.sign_dark_known else None,
        "refusals": chain.refusals,
        "erasures": chain.erased,
        "holds": len(chain.held),
        "detector_sha256": chain.detector_sha256 or None,
        "recogniser_sha256": chain.recogniser_sha256 or None,
        "balanced": "yes" if chain.balanced else "no",
        "uncounted_s": chain.uncounted_s,
        "audit_chain": f"verified against the hub's signed heads: {', '.join(chain.devices)}",
    }
    return _row(values, details, CHAIN)


def _hub_row(report: Report, details: Details) -> Row:
    heads = "signed heads received" if report.audit["ok"] else "not verified"
    values: dict[str, Cell] = {
        "deployment": report.deployment_id,
        "date": (report.first_at or "")[:10] or None,
        "type": report.mode,
        "duration_min": None,
        "cameras": len(report.devices),
        "watchlist_subjects": report.watchlist["subjects"],
        "watchlist_images": report.watchlist["images"],
        "threshold": report.threshold,
        "faces_seen": report.faces_seen,
        "alerts": report.alerts,
        **_judged(report.outcomes, report.engagements, report.dispositions),
        **_share(rate(report.outcomes.get("false_alert", 0), report.faces_seen)),
        "sign_dark_s": report.sign["dark_ms"] / 1000,
        "refusals": None,
        "erasures": sum(report.erasures.values()),
        "holds": sum(n for what, n in report.holds.items() if what != "released"),
        "detector_sha256": report.versions.get("detector_sha256"),
        "recogniser_sha256": report.versions.get("recogniser_sha256"),
        "balanced": "yes" if report.balanced else "no",
        "uncounted_s": None,
        "audit_chain": f"{heads}; the log itself was not given",
    }
    return _row(values, details, HUB)


def _row(values: Mapping[str, Cell], details: Details, source: str) -> Row:
    plan = {name: Value(getattr(details, name), PLAN) for name in PLANNED}
    blue = {name: Value(value, details.blue_list_source) for name, value in _blue(details.blue_list).items()}
    row = {**{name: Value(value, source) for name, value in values.items()}, **plan, **blue}
    return {name: row[name] for name in COLUMNS}


def _blue(found: BlueFigures | None) -> dict[str, Cell]:
    if found is None:
        return dict.fromkeys(BLUE)
    rate = found.rate
    return dict(zip(BLUE, (rate.of, rate.events, rate.value, rate.low, rate.high), strict=True))


def _judged(outcomes: Mapping[str, int], engaged: Mapping[str, int], ended: Mapping[str, int]) -> dict[str, Cell]:
    others = sum(n for name, n in ended.items() if name not in ("arrest", UNRELATED, "no_action"))
    return {
        "alerts_positive": outcomes.get("true_alert", 0),
        "alerts_incorrect": outcomes.get("false_alert", 0),
        "alerts_not_adjudicated": outcomes.get("not_adjudicated", 0),
        "interventions_positive": engaged.get("confirmed_true", 0),
        "interventions_incorrect": engaged.get("confirmed_false", 0),
        "arrests": ended.get("arrest", 0),
        "arrests_unrelated": ended.get(UNRELATED, 0),
        "other_disposals": others,
    }


def _share(shown: Rate) -> dict[str, Cell]:
    return {
        "incorrect_alert_rate": shown.value,
        "incorrect_alert_rate_low": shown.low,
        "incorrect_alert_rate_high": shown.high,
    }


def as_csv(rows: Sequence[Row]) -> str:
    """One line a deployment, RFC 4180; a text that a spreadsheet would run as a formula is quoted."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(COLUMNS.values())
    for row in rows:
        writer.writerow([_cell(row[name].value) for name in COLUMNS])
    return text.getvalue()


def table_csv(rows: Sequence[Mapping[str, Cell]]) -> str:
    """Rows with different columns as one table, the columns in order of first use."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(columns)
    for row in rows:
        writer.writerow([_cell(row.get(name)) for name in columns])
    return text.getvalue()


def as_json(row: Row) -> dict[str, dict[str, Cell]]:
    """The row for JSON, each value with its source."""
    return {name: {"value": row[name].value, "source": row[name].source} for name in COLUMNS}


def as_html(rows: Sequence[Row], remarks: Mapping[str, Sequence[str]]) -> str:
    """One page that loads nothing and prints: a table a deployment. remarks: by deployment id."""
    parts = [_HEAD]
    for row in rows:
        name = str(row["deployment"].value)
        parts.append(f"<section><h2>{html.escape(name)}</h2><table><tbody>")
        for column, label in COLUMNS.items():
            value = row[column]
            shown = "not known" if value.value is None else _cell(value.value, quoted=False)
            cells = (label, shown, value.source)
            parts.append("<tr><th scope=row>{}</th><td>{}</td><td>{}</td></tr>".format(*map(html.escape, cells)))
        parts.append("</tbody></table>")
        parts += [f"<p>{html.escape(remark)}</p>" for remark in remarks.get(name, ())]
        parts.append("</section>")
    parts.append("</main></body></html>")
    return "\n".join(parts)


def _cell(value: Cell, *, quoted: bool = True) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.6g}"
    text = str(value)
    return f"'{text}" if quoted and text[:1] in ("=", "+", "-", "@", "\t", "\r") else text


_HEAD = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Deployment report</title><style>
body { font: 11pt/1.4 system-ui, sans-serif; max-width: 50rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: .25rem .6rem; border-bottom: 1px solid #ccc; font-weight: 400; }
td, h2 { font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
td:last-child { color: #555; font-size: 9pt; }
section { break-after: page; }
</style></head><body><main><h1>Live facial recognition: deployment report</h1>"""
