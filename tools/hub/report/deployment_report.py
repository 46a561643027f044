"""The deployment report: counts and rates, with what they can and cannot prove.

False alert rate     false alerts / faces seen: what a passer-by risks.
False share          false alerts / adjudicated alerts: how often an operator is shown the wrong person.
They are different numbers and both are published. Intervals are 95 %: Wilson's for a share (Wilson 1927); when there
was no event at all, the rule of three (Hanley and Lippman-Hand 1983): at most 3 in n.
"""

from __future__ import annotations

from typing import Any

import msgspec

from tools.hub.report.shares import Rate, rate
from tools.hub.report.tallies import LATENCY_EDGES_MS, Deployment
from tools.hub.report.true_recognition import BlueFigures, figures


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """One deployment, publishable: no tactics, no identities."""

    deployment_id: str
    mode: str | None
    first_at: str | None
    last_at: str | None
    devices: list[str]
    watchlist: dict[str, int]
    threshold: float | None
    threshold_source: str | None
    faces_seen: int
    discarded: int
    lost: int
    open_passages: int
    templates: int
    quality_rejects: int
    frames: int
    dropped_frames: int
    alerts: int
    alerts_received: int
    revisions_received: int
    probes_received: int
    outcomes: dict[str, int]
    reasons: dict[str, int]
    engagements: dict[str, int]
    dispositions: dict[str, int]
    holds: dict[str, int]
    erasures: dict[str, int]
    false_alert_rate: Rate
    false_share_of_adjudicated: Rate
    alerts_within_ms: dict[str, int]
    sign: dict[str, int]
    versions: dict[str, str]
    balanced: bool
    audit: dict[str, int | bool]
    blue_list: BlueFigures | None
    remarks: list[str]


def report_of(tally: Deployment, band: tuple[float, float] | None = None) -> Report:
    """The report of one deployment's tally. band: of the true recognition rate, as the evidence has it."""
    blue = tally.blue_list
    faces, discarded, alerts = tally.total("faces_seen"), tally.total("discarded"), tally.total("alerts")
    open_passages, lost = tally.total("open_passages"), tally.total("lost")
    false = tally.outcomes.get("false_alert", 0)
    judged = false + tally.outcomes.get("true_alert", 0)
    outcomes = {k: v for k, v in sorted(tally.outcomes.items()) if v}
    unjudged = max(0, tally.alerts_received - judged - outcomes.get("not_adjudicated", 0))
    return Report(
        deployment_id=tally.deployment_id,
        mode=tally.mode.value if tally.mode else None,
        first_at=tally.first_at,
        last_at=tally.last_at,
        devices=tally.devices,
        watchlist={"subjects": tally.watchlist_subjects, "images": tally.watchlist_images},
        threshold=tally.threshold,
        threshold_source=tally.threshold_source,
        faces_seen=faces,
        discarded=discarded,
        lost=lost,
        open_passages=open_passages,
        templates=tally.total("templates"),
        quality_rejects=tally.total("quality_rejects"),
        frames=tally.total("frames"),
        dropped_frames=tally.total("dropped_frames"),
        alerts=alerts,
        alerts_received=tally.alerts_received,
        revisions_received=tally.revisions_received,
        probes_received=tally.probes_received,
        outcomes={**outcomes, **({"awaiting_judgement": unjudged} if unjudged else {})},
        reasons=dict(sorted(tally.reasons.items())),
        engagements={k: v for k, v in sorted(tally.engagements.items()) if v},
        dispositions={k: v for k, v in sorted(tally.dispositions.items()) if v},
        holds=dict(sorted(tally.holds.items())),
        erasures=dict(sorted(tally.erasures.items())),
        false_alert_rate=rate(false, faces),
        false_share_of_adjudicated=rate(false, judged),
        alerts_within_ms=_within(tally.latency_bins),
        sign={name: tally.total(f"sign_{name}") for name in ("dark_ms", "stops", "pulses", "pulses_failed")},
        versions=dict(sorted(tally.versions.items())),
        balanced=faces == discarded + lost + alerts + open_passages,
        audit={"heads": sum(tally.audit_heads.values()), "ok": bool(tally.audit_heads) and not tally.audit_problems},
        blue_list=figures(blue, band) if blue.passes or blue.without_pass else None,
        remarks=_remarks(tally, unjudged),
    )


def as_text(report: Report) -> str:
    """The report as a text block of at most 100 columns."""
    lines = [f"Deployment report  {report.deployment_id}" + (f"  [{report.mode.upper()}]" if report.mode else "")]
    lines.append("-" * len(lines[0]))
    rows: list[tuple[str, str]] = [
        ("period", f"{report.first_at or '?'} to {report.last_at or '?'}"),
        ("devices", ", ".join(report.devices) or "none"),
        ("watchlist", f"{report.watchlist['subjects']:,} people, {report.watchlist['images']:,} images"),
        ("threshold", _threshold(report)),
        ("faces seen", f"{report.faces_seen:,}   (frames {report.frames:,}, templates {report.templates:,})"),
        ("  discarded at once", f"{report.discarded:,}"),
        *([("  lost with a worker", f"{report.lost:,}")] if report.lost else []),
        ("  alerted", f"{report.alerts:,}   (received by the hub {report.alerts_received:,})"),
        ("balance", _balance(report) if report.balanced else "DOES NOT BALANCE, see remarks"),
        ("audit chain", _audit(report.audit)),
        ("outcomes", _counts(report.outcomes)),
        ("reasons of judgements", _counts(report.reasons)),
        ("engagements", _counts(report.engagements)),
        ("dispositions", _counts(report.dispositions)),
        ("holds", _counts(report.holds)),
        ("false alert rate", _rate(report.false_alert_rate, "faces seen")),
        ("false share of alerts", _rate(report.false_share_of_adjudicated, "adjudicated alerts")),
        *blue_lines(report.blue_list),
        ("alerts within", _counts({f"{k} ms": v for k, v in report.alerts_within_ms.items()})),
        ("sign", _sign(report.sign)),
        ("deletions", _counts({k.replace(".", " "): v for k, v in report.erasures.items()})),
        (
            "software",
            ", ".join(f"{k} {v[:12] if k.endswith('sha256') else v}" for k, v in report.versions.items())
            or "not reported",
        ),
    ]
    lines += [f"{name:<22}{value}" for name, value in rows]
    lines += [f"note: {remark}" for remark in report.remarks]
    return "\n".join(lines)


def as_builtins(report: Report) -> dict[str, Any]:
    """The report for JSON."""
    built: dict[str, Any] = msgspec.to_builtins(report)
    return built


def _within(bins: list[int]) -> dict[str, int]:
    """Cumulative counts below a few common bounds."""
    wanted = (300, 500, 1_000)
    return {str(edge): sum(bins[: LATENCY_EDGES_MS.index(edge) + 1]) for edge in wanted} if sum(bins) else {}


def _remarks(tally: Deployment, unjudged: int) -> list[str]:
    """Notes for reading the numbers."""
    faces, discarded, alerts = tally.total("faces_seen"), tally.total("discarded"), tally.total("alerts")
    lost, still_open = tally.total("lost"), tally.total("open_passages")
    remarks = []
    if not tally.boots:
        remarks.append("no device has sent its counts, so nothing can be said per face")
    if faces != discarded + lost + alerts + still_open:
        gone = f"{discarded} discarded, {lost} lost with a worker"
        remarks.append(f"{faces} faces seen, {gone}, {alerts} alerted, {still_open} still open")
    if lost:
        remarks.append(f"{lost} lost: their worker died, and its memory with it; they may have been seen again after")
    if alerts != tally.alerts_received and tally.boots:
        remarks.append(f"devices raised {alerts} alerts, the hub received {tally.alerts_received}")
    remarks += [f"audit log of {device}: {problem}" for device, problem in sorted(tally.audit_problems.items())]
    if tally.left_unjudged:
        remarks.append(f"{tally.left_unjudged} alerts were erased without a judgement: the desk was full")
    if unjudged:
        remarks.append(f"{unjudged} alerts await a judgement; both rates may still change")
    if faces and not tally.outcomes.get("false_alert"):
        remarks.append(f"no false alert in {faces:,} faces proves no rate below 1 in {max(1, faces // 3):,} (95 %)")
    remarks.append(
        "how many listed people passed unnoticed is not measurable here; it takes a test with known passers-by"
    )
    return remarks


def _rate(found: Rate, what: str) -> str:
    if found.value is None:
        return f"no {what} yet"
    interval = f"95 %: {found.low:.2%} to {found.high:.2%}"
    if found.method == "rule_of_three":
        interval = f"95 %: at most {found.high:.2%}, rule of three"
    return f"{found.events:,} of {found.of:,} {what} = {found.value:.2%}  ({interval})"


def blue_lines(found: BlueFigures | None) -> list[tuple[str, str]]:
    """The blue list's figures: none of them is an alert."""
    if found is None:
        return []
    rows = [("blue list", _rate(found.rate, "passes of volunteers recognised"))]
    rows += [
        (f"  {group}", "withheld: too few passes" if each is None else _rate(each, "passes"))
        for group, each in found.groups.items()
    ]
    if found.without_pass:
        rows.append(("  without a pass", f"{found.without_pass:,} recognitions that no pass was logged for"))
    if found.below and found.band is not None:
        rows.append(("  WARNING", f"below the evidence's band, {found.band[0]:.1%} to {found.band[1]:.1%}"))
    return rows


def _balance(report: Report) -> str:
    return "faces seen = discarded + lost + alerted" if report.lost else "faces seen = discarded + alerted"


def _sign(sign: dict[str, int]) -> str:
    """The sign's figures: dark while somebody could be recognised, and what the sign itself stopped."""
    if not sign["pulses"]:
        return f"dark {sign['dark_ms'] / 1000:.1f} s in use, stopped recognition {sign['stops']} times, never pulsed"
    followed = sign["pulses"] - sign["pulses_failed"]
    pulses = f"followed {followed:,} of {sign['pulses']:,} pulses"
    return f"dark {sign['dark_ms'] / 1000:.1f} s in use, stopped recognition {sign['stops']} times, {pulses}"


def _audit(audit: dict[str, int | bool]) -> str:
    if not audit["heads"]:
        return "no signed head was received"
    return f"chain ok: {audit['heads']:,} signed heads" if audit["ok"] else "CHAIN NOT OK, see remarks"


def _threshold(report: Report) -> str:
    if report.threshold is None:
        return "not reported"
    return f"{report.threshold:.3f}" + (f"  ({report.threshold_source})" if report.threshold_source else "")


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {n:,}" for name, n in counts.items()) or "none"
