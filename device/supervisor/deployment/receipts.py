"""Receipts of erasures: each is a row of the audit chain and a message to the hub, kept until delivered.

1. A receipt states what was erased, how many, by which method and why; never whose it was.
2. The row is chained first, so that the message carries its hash.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Literal, cast

from device.domain.time import rfc3339
from device.hub_api import alert_builder, messages
from device.logs import event
from device.outbox.message import ErasedAlert
from device.ports.audit import Audit
from device.ports.clock import Clock
from device.supervisor.deployment.erasure_orders import MissedErasure
from device.supervisor.status.retained import Notices

_log = logging.getLogger(__name__)
What = Literal["alert", "template", "watchlist"]
Reason = messages.ErasureReason


@dataclass(frozen=True, slots=True)
class ErasureReceipts:
    """Chains and publishes the receipts of this device."""

    audit: Audit
    clock: Clock
    notices: Notices

    def alerts_erased(self, gone: list[ErasedAlert]) -> None:
        """A receipt for every alert that ceased to exist here; it counts 0 for one that was unknown or gone already."""
        for deletion in gone:
            event(_log, "alert.erased", alert=deletion.alert_id, reason=deletion.reason, count=int(deletion.existed))
            self.erased("alert", int(deletion.existed), cast(Reason, deletion.reason), deletion.alert_id)

    def erased(
        self, what: What, count: int, reason: Reason, alert_id: str | None = None, *, process_died: bool = False
    ) -> None:
        """A receipt for something erased now."""
        method = alert_builder.method_of(what, process_died=process_died)
        chained = self.audit.note(
            "erased", "R04", what_gone=what, count=count, reason=reason, method=method, alert=alert_id
        )
        self.notices.receipt(
            alert_builder.erasure_of(
                what,
                count=count,
                alert_id=alert_id,
                reason=reason,
                mode=self.notices.mode,
                at=self.clock.wall(),
                process_died=process_died,
                chain_hash=chained,
            )
        )

    def erased_before(self, missed: MissedErasure) -> None:
        """A receipt for a list that the eraser deleted while no supervisor ran."""
        chained = self.audit.note(
            "erased",
            "R04",
            what_gone="watchlist",
            count=missed.subjects,
            reason=missed.reason,
            method="unlinked",
            deployment=missed.deployment,
            since=rfc3339(missed.at),
        )
        self.notices.receipt(
            alert_builder.erasure_of(
                "watchlist",
                count=missed.subjects,
                alert_id=None,
                reason=cast(Reason, missed.reason),
                mode=self.notices.mode,
                at=missed.at,
                chain_hash=chained,
            )
        )
