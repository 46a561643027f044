"""The life of an outbox: alerts are kept, logged, delivered and erased. Marks say what is promised."""

from __future__ import annotations

import sys
from datetime import timedelta
from pathlib import Path

from device.domain.time import MonotonicNs, wall
from device.edges.clock.system import SystemClock
from device.outbox.message import OutboxMessage
from device.outbox.retry import MessageClass
from device.outbox.store import Outbox
from tests.lost_writes.disk import mark

ALERTS = ("a-1", "a-2", "a-3")


def life(state: Path) -> None:
    now = SystemClock().wall()
    outbox = Outbox(state / "outbox.sqlite", now, log_first=True)
    for alert in ALERTS:
        for kind in (MessageClass.ALERT, MessageClass.PROBE):
            outbox.put(
                OutboxMessage(
                    id=f"{alert}-{kind.value}",
                    kind=kind,
                    topic="t",
                    payload=b"x" * 3000,
                    content_type="c",
                    delete_by=wall(now + timedelta(days=1)),
                    alert_id=alert,
                )
            )
        mark(f"kept {alert}")
        outbox.logged([alert], on_disk=True)
        mark(f"logged {alert}")
        outbox.report(f"{alert}-alert", accepted=True, acknowledged=True, monotonic=MonotonicNs(1))
        mark(f"delivered {alert}")
    mark("erasing a-1")
    outbox.erase_alert("a-1", "false_alert")
    mark("gone a-1")
    outbox.close()


if __name__ == "__main__":
    life(Path(sys.argv[1]) / "state")
