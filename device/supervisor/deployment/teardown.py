"""The end of a deployment: deliver what waits, erase personal data, publish receipts, check the passage counts.

1. Workers have exited and the sign is off before this begins. First the erasure order is made due: if this program
   dies on the way, the eraser's timer does the rest (device.eraser).
2. The identity is dropped next, before anything that may fail or wait: the list that it opened is unreadable from then
   on, even where blocks of it remain on the disk.
3. Erasure waits for the broker only up to a deadline: an unreachable hub does not prolong the retention of data.
4. Alerts that may be kept are kept for the policy's hours after this end, however early it comes; those under an
   evidence or complaint hold until that ends.
5. A step that fails stops no other one. Data that could not be erased is a fault in the summary; the exit status is 69.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeVar

from device.domain.time import WallTime, wall
from device.errors import RefusedByCondition, Unavailable
from device.logs import NOTICE, event
from device.outbox.retry import MessageClass
from device.outbox.store import Outbox
from device.ports.audit import Audit
from device.supervisor.alerts.outbox_publisher import OutboxPublisher
from device.supervisor.blue_list.service import names
from device.supervisor.deployment.receipts import ErasureReceipts, Reason
from device.supervisor.edges import Edges
from device.supervisor.loop import SupervisorLoop
from device.supervisor.status.reporter import Reporter
from device.supervisor.timing import DELIVER_S, HURRY_S, RECEIPTS_S, STOPPED_S
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
    """Steps of the ending; a failure stops no other step (rule 5). problems: what failed, as text."""

    problems: dict[str, str] = field(default_factory=dict)

    async def attempt(self, name: str, work: Awaitable[Result], otherwise: Result) -> Result:
        """The result of `work`, or `otherwise` when hardware or storage fails."""
        try:
            return await work
        except (Unavailable, OSError) as fault:
            self.fail(name, str(fault))
            return otherwise

    def fail(self, name: str, problem: str) -> None:
        """Record and log a failure."""
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
    receipts: ErasureReceipts,
) -> Outcome:
    """Erase the deployment on this device and report. `control.authorisation` is None afterwards."""
    active = supervisor.active
    if active is None:
        return Outcome(exit_status=supervisor.requests.leave or 0)
    deployment, throwaway, steps = active.deployment, supervisor.throwaway, _Steps()
    balance = pool.counts.balance()
    active.drop_identity()
    supervisor.deployment_sync.clear()
    tampered = supervisor.requests.tampered
    at_once = deployment.retention.alert_hours == 0 or tampered
    reason: Reason = "tamper" if tampered else "end_of_deployment"
    ordered = edges.disk(lambda: supervisor.erasure_orders.due_now(active, reason, all_alerts=at_once))
    await steps.attempt("order", ordered, None)
    dropped = await steps.attempt("authorisation", edges.disk(active.erase), [])
    reporter.final_stats()
    undelivered = 0 if tampered else await _deliver(supervisor, publisher)
    keep_until = wall(edges.clock.wall() + timedelta(hours=deployment.retention.alert_hours))
    if at_once:
        publisher.erase(None, reason)
    else:
        await steps.attempt("retention", edges.disk(lambda: edges.outbox.end_at(keep_until)), 0)
    _prove(receipts, balance, deployment.watchlist.subjects if dropped else 0, reason)
    pool.clear()
    reporter.watchlist_erased()
    delivered = await publisher.drain(_deadline(supervisor, RECEIPTS_S), (MessageClass.RECEIPT, MessageClass.COUNT))
    held, kept = await steps.attempt("outbox", edges.disk(lambda: _left(edges.outbox, keep_until)), (None, []))
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
    _log_end(deployment.id, balance)
    supervisor.erased()
    status = Unavailable.exit_status if steps.problems else _exit_status(supervisor, pool)
    nothing_kept = not kept and (at_once or held == [])
    return Outcome(exit_status=status, summary=summary, leave_nothing=throwaway and nothing_kept)


def _log_end(deployment: str, balance: Balance) -> None:
    """The end, and whether everybody who was seen is accounted for."""
    event(_log, "deployment.ended", level=NOTICE, deployment=deployment, balanced=balance.holds, alerts=balance.alerted)
    if not balance.holds:
        event(_log, "balance.broken", level=logging.ERROR, **_counts(balance))


async def leave_deployment(
    pool: WorkerPool, reporter: Reporter, receipts: ErasureReceipts, publisher: OutboxPublisher
) -> None:
    """The program ends and its deployment goes on: the counts of this start, and receipts for its templates."""
    reporter.final_stats()
    _prove(receipts, pool.counts.balance(), 0, "end_of_deployment")
    await publisher.drain(STOPPED_S, (MessageClass.RECEIPT, MessageClass.COUNT))


def waiting_for_their_time(outbox: Outbox) -> list[str]:
    """Alerts that the policy keeps for some hours; those under a hold of their own are the timer's."""
    kept = set(outbox.under_hold())
    return [alert for alert in outbox.alerts_held() if alert not in kept]


def _left(outbox: Outbox, keep_until: WallTime) -> tuple[list[str] | None, list[str]]:
    """Alerts that wait for their time, and those under a hold, which go with its release once that time is past.

    What names a volunteer is not kept: a consent that is withdrawn from now on does not reach this device.
    """
    outbox.end_at(keep_until)
    outbox.erase_undelivered(names(None), "end_of_deployment")
    return waiting_for_their_time(outbox), outbox.under_hold()


async def _deliver(supervisor: SupervisorLoop, publisher: OutboxPublisher) -> int:
    """Deliver alerts and probes; the number of alerts that were not delivered."""
    delivered = await publisher.drain(_deadline(supervisor, DELIVER_S), (MessageClass.ALERT, MessageClass.PROBE))
    undelivered = 0 if delivered else publisher.waiting.get(MessageClass.ALERT, 0)
    if undelivered:
        event(_log, "ending.undelivered", level=logging.WARNING, alerts=undelivered)
    return undelivered


def _prove(receipts: ErasureReceipts, balance: Balance, subjects: int, reason: Reason) -> None:
    """Publish receipts: for the discarded templates, and for the watchlist if it is erased completely."""
    receipts.erased("template", balance.discarded, "no_match")
    if balance.lost:
        receipts.erased("template", balance.lost, "no_match", process_died=True)
    if subjects:
        receipts.erased("watchlist", subjects, reason)


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
