"""The end of a deployment: deliver what waits, erase what is personal, prove it, balance the count.

1. Workers are gone and the sign is off before this begins. The order to erase falls due first: if this program dies on
   the way, the timer does the rest (device.eraser).
2. The identity goes first, before anything that may fail or wait: what it opened is unreadable from then on, wherever
   blocks of it may remain.
3. Erasure never waits for the broker longer than a deadline: an unreachable hub does not keep anybody's data alive.
4. Alerts that may stay are kept for the policy's hours after this end, however early it comes; those under an evidence
   or complaint hold until that ends.
5. A step that fails stops no other one. What could not be erased is a fault in the summary, and the exit status is 69.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeVar

from device.domain.time import wall
from device.errors import RefusedByCondition, Unavailable
from device.logs import event
from device.outbox.retry import MessageClass
from device.outbox.store import Outbox
from device.ports.audit import Audit
from device.supervisor.alerts.outbox_publisher import OutboxPublisher
from device.supervisor.edges import Edges
from device.supervisor.loop import SupervisorLoop
from device.supervisor.status.reporter import Reason, Reporter
from device.supervisor.timing import DELIVER_S, HURRY_S, RECEIPTS_S
from device.supervisor.workers.passage_counts import Balance
from device.supervisor.workers.pool import WorkerPool

_log = logging.getLogger(__name__)

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How the run ended. leave_nothing: the outbox file itself goes too (a demonstration)."""

    exit_status: int
    summary: dict[str, Any] = field(default_factory=dict)
    leave_nothing: bool = False


@dataclass(slots=True)
class _Steps:
    """Steps of the ending, each tried whatever became of the others (rule 5). problems: what failed, in words."""

    problems: dict[str, str] = field(default_factory=dict)

    async def attempt(self, name: str, work: Awaitable[Result], otherwise: Result) -> Result:
        """The result of `work`, or `otherwise` when hardware or storage refuses."""
        try:
            return await work
        except (Unavailable, OSError) as fault:
            self.fail(name, str(fault))
            return otherwise

    def fail(self, name: str, problem: str) -> None:
        """Note and say what went wrong."""
        event(_log, "ending.failed", level=logging.ERROR, step=name, problem=problem)
        self.problems[name] = problem


async def end_deployment(
    edges: Edges,
    *,
    supervisor: SupervisorLoop,
    pool: WorkerPool,
    audit: Audit,
    publisher: OutboxPublisher,
    reporter: Reporter,
) -> Outcome:
    """Erase the deployment on this device and report. `control.authorisation` is None afterwards."""
    active = supervisor.active
    if active is None:
        return Outcome(exit_status=supervisor.requests.leave or 0)
    deployment, throwaway, steps = active.deployment, supervisor.throwaway, _Steps()
    balance = pool.counts.balance()
    active.drop_identity()
    supervisor.deployment_sync.forget()
    tampered = supervisor.requests.tampered
    at_once = deployment.retention.alert_hours == 0 or tampered
    reason: Reason = "tamper" if tampered else "end_of_deployment"
    ordered = edges.disk(lambda: supervisor.erasure_orders.due_now(active, reason, all_alerts=at_once))
    await steps.attempt("order", ordered, None)
    dropped = await steps.attempt("authorisation", edges.disk(active.erase), [])
    reporter.final_stats()
    undelivered = 0 if tampered else await _deliver(supervisor, publisher)
    if at_once:
        publisher.erase(None, reason)
    else:
        keep_until = wall(edges.clock.wall() + timedelta(hours=deployment.retention.alert_hours))
        await steps.attempt("retention", edges.disk(lambda: edges.outbox.end_at(keep_until)), 0)
    _prove(reporter, balance, deployment.watchlist.subjects if dropped else 0, reason)
    pool.forget()
    reporter.watchlist_erased()
    delivered = await publisher.drain(_deadline(supervisor, RECEIPTS_S), (MessageClass.RECEIPT, MessageClass.COUNT))
    held = await steps.attempt("outbox", edges.disk(lambda: waiting_for_their_time(edges.outbox)), None)
    kept = await steps.attempt("outbox", edges.disk(edges.outbox.under_hold), [])
    if at_once and held:
        steps.fail("outbox", f"{len(held)} alerts could not be erased and are still held")
    summary: dict[str, Any] = {
        "deployment": deployment.id,
        "mode": deployment.mode.value,
        "receipts_delivered": delivered,
        "alerts_undelivered": undelivered,
        "alerts_held": None if held is None else len(held),
        "alerts_under_hold": len(kept),
        **_counts(balance),
        "reason": reason,
        "tally": await steps.attempt("tally", edges.disk(edges.outbox.tally), {}),
    }
    if not steps.problems:
        await steps.attempt("order", edges.disk(lambda: supervisor.erasure_orders.done(active)), None)
    summary["faults"] = {**pool.problems(), **steps.problems}
    audit.note("ended", "R01", deployment=deployment.id, mode=deployment.mode.value, count=len(steps.problems))
    event(_log, "deployment.ended", id=deployment.id, balanced=balance.holds, alerts=balance.alerted)
    if not balance.holds:
        event(_log, "balance.broken", level=logging.ERROR, **_counts(balance))
    supervisor.erased()
    status = Unavailable.exit_status if steps.problems else _exit_status(supervisor, pool)
    return Outcome(
        exit_status=status, summary=summary, leave_nothing=throwaway and not kept and (at_once or held == [])
    )


def waiting_for_their_time(outbox: Outbox) -> list[str]:
    """Alerts that the policy keeps for some hours; those under a hold of their own are the timer's."""
    kept = set(outbox.under_hold())
    return [alert for alert in outbox.alerts_held() if alert not in kept]


async def _deliver(supervisor: SupervisorLoop, publisher: OutboxPublisher) -> int:
    """Let alerts and probes go out; how many alerts could not."""
    delivered = await publisher.drain(_deadline(supervisor, DELIVER_S), (MessageClass.ALERT, MessageClass.PROBE))
    undelivered = 0 if delivered else publisher.waiting.get(MessageClass.ALERT, 0)
    if undelivered:
        event(_log, "ending.undelivered", level=logging.WARNING, alerts=undelivered)
    return undelivered


def _prove(reporter: Reporter, balance: Balance, subjects: int, reason: Reason) -> None:
    """Receipts for what was discarded, and for the watchlist if nothing of it is left."""
    reporter.receipt("template", balance.discarded, "no_match")
    if balance.lost:
        reporter.receipt("template", balance.lost, "no_match", process_died=True)
    if subjects:
        reporter.receipt("watchlist", subjects, reason)


def _exit_status(supervisor: SupervisorLoop, pool: WorkerPool) -> int:
    """A signal's, else that of a recording that broke off, else 77 when nobody could ever be recognised, else 0."""
    if supervisor.requests.leave is not None:
        return supervisor.requests.leave
    return pool.exit_status or (0 if supervisor.ever_recognised else RefusedByCondition.exit_status)


def _deadline(supervisor: SupervisorLoop, seconds: float) -> float:
    return HURRY_S if supervisor.requests.hurry else seconds


def _counts(balance: Balance) -> dict[str, int | bool]:
    return {
        "faces_seen": balance.faces_seen,
        "discarded": balance.discarded,
        "lost": balance.lost,
        "alerted": balance.alerted,
        "alerted_by_worker": balance.alerted_by_worker,
        "balanced": balance.holds,
    }
