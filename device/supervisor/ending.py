"""The end of a deployment: deliver what waits, erase what is personal, prove it, balance the count.

1. Workers are gone and the sign is off before this begins.
2. Erasure never waits for the broker longer than a deadline: an unreachable hub does not keep anybody's data alive.
3. The identity goes first: what it opened is unreadable from then on, wherever blocks of it may remain.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import Any

from device.alerts.retry import MessageClass
from device.errors import RefusedByCondition
from device.logs import event
from device.supervisor.control import Control
from device.supervisor.courier import Courier
from device.supervisor.crew import Crew
from device.supervisor.edges import Edges
from device.supervisor.ledger import Balance
from device.supervisor.reporter import Reporter

_log = logging.getLogger(__name__)
DELIVER_S = 10.0  # a broker that restarts is back within this
RECEIPTS_S = 5.0
HURRY_S = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How the run ended. leave_nothing: the outbox file itself goes too (a demonstration)."""

    exit_status: int
    summary: dict[str, Any] = field(default_factory=dict)
    leave_nothing: bool = False


async def end_deployment(
    edges: Edges, *, control: Control, crew: Crew, courier: Courier, reporter: Reporter
) -> Outcome:
    """Erase the deployment on this device and report. `control.authorisation` is None afterwards."""
    authorisation = control.authorisation
    if authorisation is None:
        return Outcome(exit_status=control.wish.leave or 0)
    deployment, throwaway = authorisation.deployment, control.throwaway
    balance = crew.ledger.balance()
    reporter.final_stats()
    delivered = await courier.drained(_deadline(control, DELIVER_S), (MessageClass.ALERT, MessageClass.PROBE))
    undelivered = 0 if delivered else courier.waiting.get(MessageClass.ALERT, 0)
    if undelivered:
        event(_log, "ending.undelivered", level=logging.WARNING, alerts=undelivered)
    at_once = deployment.retention.alert_hours == 0
    if at_once:
        courier.erase(None, "end_of_deployment")
    reporter.receipt("template", balance.discarded, "no_match")
    if balance.lost:
        reporter.receipt("template", balance.lost, "no_match", process_died=True)
    if await edges.disk(authorisation.drop):
        reporter.receipt("watchlist", deployment.watchlist.subjects, "end_of_deployment")
    crew.forget()
    reporter.watchlist_erased()
    delivered = await courier.drained(_deadline(control, RECEIPTS_S), (MessageClass.RECEIPT, MessageClass.COUNT))
    held = await edges.disk(edges.outbox.alerts_held)
    summary = {
        "deployment": deployment.id,
        "mode": deployment.mode.value,
        "receipts_delivered": delivered,
        "alerts_undelivered": undelivered,
        "alerts_held": len(held),
        "faults": crew.problems(),
        **_counts(balance),
        "tally": await edges.disk(edges.outbox.tally),
    }
    event(_log, "deployment.ended", id=deployment.id, balanced=balance.holds, alerts=balance.alerted)
    if not balance.holds:
        event(_log, "balance.broken", level=logging.ERROR, **_counts(balance))
    control.erased()
    return Outcome(exit_status=_exit_status(control, crew), summary=summary, leave_nothing=throwaway and not held)


def _exit_status(control: Control, crew: Crew) -> int:
    """A signal's, else that of a recording that broke off, else 77 when nobody could ever be recognised, else 0."""
    if control.wish.leave is not None:
        return control.wish.leave
    return crew.fault or (0 if control.ever_recognised else RefusedByCondition.exit_status)


def _deadline(control: Control, seconds: float) -> float:
    return HURRY_S if control.wish.hurry else seconds


def _counts(balance: Balance) -> dict[str, int | bool]:
    return {
        "faces_seen": balance.faces_seen,
        "discarded": balance.discarded,
        "lost": balance.lost,
        "alerted": balance.alerted,
        "alerted_by_worker": balance.alerted_by_worker,
        "balanced": balance.holds,
    }
