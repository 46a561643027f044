"""The deployment report with the columns that the Home Office publishes, as HTML, CSV and JSON.

1. A number that a signed audit chain holds comes from there when the chain is given; otherwise, and for what no chain
   holds (interventions, arrests), from the hub's own counts. Every value carries its source.
2. A share has its 95 % interval. What is not known is empty, never 0.
3. Nothing points to a person: no alert id, no entry, no label.
"""

from __future__ import annotations

import csv
import html
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tools.hub.report.audit_counts import ChainCounts
from tools.hub.report.deployment_report import Rate, Report, rate

CHAIN, HUB, PLAN = "audit chain", "hub", "signed deployment"


@dataclass(frozen=True, slots=True)
class Value:
    """One cell: its content as text or number (None: not known), and its source."""

    value: str | int | float | None
    source: str


Row = Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class Details:
    """The signed deployment's own fields."""

    place: str | None = None
    purpose: str | None = None
    controller: str | None = None
    owner: str | None = None
    devices: tuple[str, ...] = field(default_factory=tuple)


COLUMNS: Mapping[str, str] = {
    "deployment": "Deployment",
    "date": "Date",
    "type": "Type",
    "purpose": "Purpose",
    "place": "Place",
    "controller": "Controller",
    "owner": "Owner of the kit",
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
    "sign_dark_s": "Sign dark while recognising, seconds",
    "refusals": "Refusals",
    "erasures": "Erasures",
    "holds": "Holds",
    "detector_sha256": "Detector, SHA-256",
    "recogniser_sha256": "Recogniser, SHA-256",
    "balanced": "Faces seen balance",
    "audit_chain": "Audit chain",
}


def row_of(report: Report, details: Details, chain: ChainCounts | None) -> Row:
    """One deployment's row; keys as in COLUMNS."""
    faces = report.faces_seen if chain is None else chain.faces_seen
    outcomes = report.outcomes if chain is None else chain.outcomes
    false = outcomes.get("false_alert", 0)
    shown = rate(false, faces)
    return {
        **_what_it_was(report, details, chain),
        **_alerts(report, chain, outcomes, faces),
        **_share(shown, HUB if chain is None else CHAIN),
        **_proof(report, chain),
    }


def _what_it_was(report: Report, details: Details, chain: ChainCounts | None) -> dict[str, Value]:
    source = HUB if chain is None else CHAIN
    began = (chain.first_at if chain is not None else report.first_at) or ""
    cameras = len(chain.cameras) if chain is not None and chain.cameras else None
    subjects, images = report.watchlist["subjects"], report.watchlist["images"]
    threshold = report.threshold
    if chain is not None and chain.subjects is not None:
        subjects, images, threshold = chain.subjects, chain.images or 0, chain.threshold
    return {
        "deployment": Value(report.deployment_id, source),
        "date": Value(began[:10] or None, source),
        "type": Value(report.mode, PLAN),
        "purpose": Value(details.purpose, PLAN),
        "place": Value(details.place, PLAN),
        "controller": Value(details.controller, PLAN),
        "owner": Value(details.owner, PLAN),
        "duration_min": Value(None if chain is None else round(chain.recognising_s / 60, 1), CHAIN),
        "cameras": Value(len(report.devices) if cameras is None else cameras, HUB if cameras is None else CHAIN),
        "watchlist_subjects": Value(subjects, source),
        "watchlist_images": Value(images, source),
        "threshold": Value(threshold, source),
    }


def _alerts(report: Report, chain: ChainCounts | None, outcomes: Mapping[str, int], faces: int) -> dict[str, Value]:
    source = HUB if chain is None else CHAIN
    raised = report.alerts if chain is None else chain.alerted
    engaged, ended = report.engagements, report.dispositions
    others = sum(n for name, n in ended.items() if name not in ("arrest", "arrest_unrelated", "no_action"))
    return {
        "faces_seen": Value(faces, source),
        "alerts": Value(raised, source),
        "alerts_positive": Value(outcomes.get("true_alert", 0), source),
        "alerts_incorrect": Value(outcomes.get("false_alert", 0), source),
        "alerts_not_adjudicated": Value(outcomes.get("not_adjudicated", 0), source),
        "interventions_positive": Value(engaged.get("confirmed_true", 0), HUB),
        "interventions_incorrect": Value(engaged.get("confirmed_false", 0), HUB),
        "arrests": Value(ended.get("arrest", 0), HUB),
        "arrests_unrelated": Value(ended.get("arrest_unrelated", 0), HUB),
        "other_disposals": Value(others, HUB),
    }


def _share(shown: Rate, source: str) -> dict[str, Value]:
    return {
        "incorrect_alert_rate": Value(shown.value, source),
        "incorrect_alert_rate_low": Value(shown.low, source),
        "incorrect_alert_rate_high": Value(shown.high, source),
    }


def _proof(report: Report, chain: ChainCounts | None) -> dict[str, Value]:
    if chain is None:
        said = "signed heads received" if report.audit["ok"] else "not verified"
        return {
            "sign_dark_s": Value(report.sign["dark_ms"] / 1000, HUB),
            "refusals": Value(None, CHAIN),
            "erasures": Value(sum(report.erasures.values()), HUB),
            "holds": Value(0, HUB),
            "detector_sha256": Value(report.versions.get("detector_sha256"), HUB),
            "recogniser_sha256": Value(report.versions.get("recogniser_sha256"), HUB),
            "balanced": Value("yes" if report.balanced else "no", HUB),
            "audit_chain": Value(f"{said}; the log itself was not given", HUB),
        }
    balanced = chain.faces_seen == chain.discarded + chain.lost + chain.alerted + chain.open
    erased = sum(n for name, n in chain.erasures.items() if not name.startswith("unjudged "))
    return {
        "sign_dark_s": Value(report.sign["dark_ms"] / 1000, HUB),
        "refusals": Value(chain.refusals, CHAIN),
        "erasures": Value(erased, CHAIN),
        "holds": Value(0, HUB),
        "detector_sha256": Value(chain.detector_sha256 or None, CHAIN),
        "recogniser_sha256": Value(chain.recogniser_sha256 or None, CHAIN),
        "balanced": Value("yes" if balanced else "no", CHAIN),
        "audit_chain": Value(f"verified against the hub's signed heads: {', '.join(chain.devices)}", CHAIN),
    }


def as_csv(rows: Sequence[Row]) -> str:
    """One line a deployment, RFC 4180; a text that a spreadsheet would run as a formula is quoted."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(COLUMNS.values())
    for row in rows:
        writer.writerow([_cell(row[name].value) for name in COLUMNS])
    return text.getvalue()


def as_json(row: Row) -> dict[str, dict[str, str | int | float | None]]:
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
    parts.append("</body></html>")
    return "\n".join(parts)


def _cell(value: str | int | float | None, *, quoted: bool = True) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.6g}"
    text = str(value)
    return f"'{text}" if quoted and text[:1] in ("=", "+", "-", "@", "\t", "\r") else text


_HEAD = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Deployment report</title>
<style>
body { font: 11pt/1.4 system-ui, sans-serif; max-width: 50rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: .25rem .6rem; border-bottom: 1px solid #ccc; font-weight: 400; }
td { font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
td:last-child { color: #555; font-size: 9pt; }
section { break-after: page; }
</style></head><body><h1>Live facial recognition: deployment report</h1>"""
