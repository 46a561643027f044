"""The demo's checks, on evidence from the outside: evidence in, one named check a row out. No input or output here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from device.hub_api.messages import Alert, Erasure, Stats, WatchlistState

GRACE_MS = 500.0  # a passage in the ground truth ends when the person leaves the picture; the tracker may see less


@dataclass(frozen=True, slots=True)
class TruePassage:
    """When the listed person is in the picture, from the clip's ground truth (media time)."""

    start_ms: float
    end_ms: float


@dataclass(frozen=True, slots=True)
class ProbeReceived:
    """One probe message: whether the hub's identity opens it to a JPEG, and whether somebody else's could read it."""

    alert_id: str
    opens_for_hub: bool
    opens_for_others: bool


@dataclass(slots=True)
class Evidence:
    """Everything that was received over MQTT, and what was found on disk afterwards.

    alerts      every revision of every alert, by alert id, in order of arrival
    statuses    exit status by process name
    leftovers   path and reason of each personal thing found where none may be
    watchlists  the states of the device's list, in order
    audit       whether the device's log is whole against the heads at the hub, with a text
    named       topics of messages that contained the listed person's name
    keys_left   what the hub still has of the deployment's keys and list after its end; None: not checked
    """

    listed_entry: str
    truth: tuple[TruePassage, ...]
    alerts: dict[str, list[Alert]] = field(default_factory=dict)
    probes: list[ProbeReceived] = field(default_factory=list)
    stats: Stats | None = None
    erasures: list[Erasure] = field(default_factory=list)
    states: list[str] = field(default_factory=list)
    watchlists: list[WatchlistState] = field(default_factory=list)
    statuses: Mapping[str, int | None] = field(default_factory=dict)
    leftovers: list[tuple[Path, str]] = field(default_factory=list)
    named: list[str] = field(default_factory=list)
    audit: tuple[bool, str] = (False, "no audit log was looked at")
    keys_left: list[str] | None = None


@dataclass(frozen=True, slots=True)
class Check:
    """One row of the verdict."""

    name: str
    holds: bool
    found: str


def verdict(evidence: Evidence) -> list[Check]:
    """Every check in the order of the table; all of them, also after one that fails."""
    return [Check(name, *check(evidence)) for name, check in CHECKS]


def listed_person_alerted(evidence: Evidence) -> tuple[bool, str]:
    """Each passage of the listed person raised one alert, which arrived at the hub."""
    per_passage = [
        sum(1 for alert in first_statements(evidence) if is_of(alert, passage, evidence.listed_entry))
        for passage in evidence.truth
    ]
    found = sum(1 for count in per_passage if count)
    return bool(per_passage) and all(n == 1 for n in per_passage), (
        f"{found} of {len(per_passage)} passages, {sum(per_passage)} alerts"
    )


def nobody_else_alerted(evidence: Evidence) -> tuple[bool, str]:
    """No alert lies outside the listed person's passages."""
    others = [
        alert.alert_id
        for alert in first_statements(evidence)
        if not any(is_of(alert, passage, evidence.listed_entry) for passage in evidence.truth)
    ]
    return not others, f"{len(others)} other alerts"


def alerts_keep_their_identity(evidence: Evidence) -> tuple[bool, str]:
    """Revisions of one alert rise, and none came twice."""
    revisions = {key: [a.revision for a in series] for key, series in evidence.alerts.items()}
    broken = [key for key, numbers in revisions.items() if numbers != sorted(set(numbers))]
    return not broken, f"{sum(len(r) for r in revisions.values())} statements of {len(revisions)} alerts"


def counts_balance(evidence: Evidence) -> tuple[bool, str]:
    """faces_seen = discarded + alerted, and the hub received as many alerts as the device counts."""
    stats = evidence.stats
    if stats is None:
        return False, "no stats message was received"
    received = len(evidence.alerts)
    balanced = stats.faces_seen == stats.discarded + stats.alerts and stats.alerts == received and stats.faces_seen > 0
    return balanced, (
        f"{stats.faces_seen} faces seen = {stats.discarded} discarded + {stats.alerts} alerted; {received} at the hub"
    )


def probes_for_hub_alone(evidence: Evidence) -> tuple[bool, str]:
    """Every alert came with a probe that the hub, and nobody else, can open."""
    with_probe = {p.alert_id for p in evidence.probes if p.opens_for_hub}
    leaky = [p for p in evidence.probes if p.opens_for_others or not p.opens_for_hub]
    complete = bool(evidence.alerts) and with_probe == set(evidence.alerts)
    return complete and not leaky, (
        f"{len(evidence.probes)} probes for {len(with_probe)} of {len(evidence.alerts)} alerts, "
        f"{len(leaky)} readable otherwise or not at all"
    )


def no_name_travels(evidence: Evidence) -> tuple[bool, str]:
    """The listed person's name is in no message."""
    return not evidence.named, f"{len(evidence.named)} messages or logs with the name" + (
        f": {evidence.named[0]}" if evidence.named else ""
    )


def device_ended(evidence: Evidence) -> tuple[bool, str]:
    """The device went through recognising to ending, by its own states."""
    reached = [s for s in ("recognising", "ending") if s in evidence.states]
    return len(reached) == 2, " > ".join(evidence.states) or "no state was received"


def erasure_receipts(evidence: Evidence) -> tuple[bool, str]:
    """Receipts came, one for the watchlist among them, and the last state of the device's list is its end."""
    kinds = sorted({f"{e.what} ({e.reason})" for e in evidence.erasures})
    watchlist = any(e.what == "watchlist" and e.reason == "end_of_deployment" for e in evidence.erasures)
    erased = bool(evidence.watchlists) and evidence.watchlists[-1].erased_at is not None
    found = ", ".join(kinds) or "no receipt was received"
    return watchlist and erased, found if erased else f"{found}; the device does not report that its list is erased"


def keys_gone_at_the_hub(evidence: Evidence) -> tuple[bool, str]:
    """After the end the hub has neither the list's key nor its ciphertext nor an envelope."""
    left = evidence.keys_left
    if left is None:
        return False, "the deployment was not ended at the hub"
    return not left, f"still there: {left[0]}" if left else "key, list and envelopes withdrawn"


def processes_ended_well(evidence: Evidence) -> tuple[bool, str]:
    """Every process ended by itself or when asked, with status 0."""
    bad = {name: status for name, status in evidence.statuses.items() if status != 0}
    text = ", ".join(f"{name}: {status}" for name, status in bad.items())
    return bool(evidence.statuses) and not bad, text or f"{len(evidence.statuses)} processes, all 0"


def nothing_personal_left(evidence: Evidence) -> tuple[bool, str]:
    """No picture, template or name on any disk that the demo touched."""
    left = evidence.leftovers
    return not left, f"{left[0][0]}: {left[0][1]} (and {len(left) - 1} more)" if left else "searched, found nothing"


def audit_chain_whole(evidence: Evidence) -> tuple[bool, str]:
    """The audit log is whole, signed with the key that the hub knows, and its counts of people balance."""
    return evidence.audit


CHECKS: tuple[tuple[str, Callable[[Evidence], tuple[bool, str]]], ...] = (
    ("listed person alerted at the hub, each passage once", listed_person_alerted),
    ("nobody else alerted", nobody_else_alerted),
    ("one alert a passage, revised by id", alerts_keep_their_identity),
    ("counts balance", counts_balance),
    ("probes open for the hub alone", probes_for_hub_alone),
    ("no name travels or is logged", no_name_travels),
    ("device recognised and reached its ending", device_ended),
    ("erasure receipts received", erasure_receipts),
    ("keys gone at the hub too", keys_gone_at_the_hub),
    ("audit chain verifies against the hub's signed heads", audit_chain_whole),
    ("all processes ended well", processes_ended_well),
    ("nothing personal left on disk", nothing_personal_left),
)


def first_statements(evidence: Evidence) -> list[Alert]:
    """The first revision of each alert: when it was raised."""
    return [series[0] for series in evidence.alerts.values()]


def is_of(alert: Alert, passage: TruePassage, entry: str) -> bool:
    """Whether an alert names the listed entry and its decisive frame lies in the passage."""
    decided = alert.track.media_ms
    return alert.candidate.entry_ref == entry and passage.start_ms - GRACE_MS <= decided <= passage.end_ms + GRACE_MS
