"""The blue list's totals in the hub's own signed log, so that a report's figures of it can be verified.

1. A row `blue` has the totals of one deployment: passes, recognised passes, recognitions without a pass. It is written
   when they have changed, at most every EVERY_S, and at the end of the program. No volunteer, group or time of a pass.
2. The last row of a deployment counts. Groups are the hub's own counts: they are in no signed report.
3. What the log does not hold (a deployment of before 2026-11-30) is not taken from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from device.audit.log import FILE, read_head
from device.audit.rows import Head
from device.audit.verify import verify
from device.domain.time import WallTime
from device.errors import BadData
from tools.hub.report.audit_counts import rows_of
from tools.hub.report.blue_tally import BlueTally
from tools.hub.report.tallies import Deployment
from tools.hub.storage.hub_log import HubLog, folder_of

EVERY_S = 10.0
Totals = tuple[int, int, int]


class BlueLog:
    """Writes the rows; belongs to the console's loop."""

    def __init__(self, log: HubLog) -> None:
        self._log = log
        self._noted: dict[str, Totals] | None = None
        self._noted_at: WallTime | None = None

    def note(self, deployments: Mapping[str, Deployment], now: WallTime, *, at_once: bool = False) -> None:
        """Write the totals that have changed (rule 1). Raises Unavailable when the disk refuses."""
        if not at_once and self._noted_at is not None and 0 <= (now - self._noted_at).total_seconds() < EVERY_S:
            return
        self._noted_at = now
        if self._noted is None:
            self._noted = {name: _totals(tally) for name, tally in _rows(self._log.folder, None).items()}
        for name, deployment in deployments.items():
            totals = passes, recognised, without_pass = _totals(deployment.blue_list)
            if totals != self._noted.get(name, (0, 0, 0)):
                counts = {"passes": passes, "recognised": recognised, "without_pass": without_pass}
                self._log.note("blue", now, deployment=name, **counts)
                self._noted[name] = totals


def signed_totals(hub: Path) -> tuple[dict[str, BlueTally], Head | None]:
    """The totals by deployment, and the head of the hub's log that covers them; (nothing, None) without a log.

    Raises BadData for a log that does not verify.
    """
    folder = folder_of(hub)
    head = read_head(folder) if (folder / FILE).exists() else None
    if head is None:
        return {}, None
    require_own_log(hub, head)
    return _rows(folder, head.seq), head


def require_own_log(hub: Path, head: Head) -> None:
    """BadData unless the hub's own log is whole, is of that head's key, and holds that head."""
    folder = folder_of(hub)
    own = read_head(folder)
    if own is None or own.key != head.key:
        raise BadData("the head of the hub's own log is signed by another key than the one that this hub has")
    broken = verify(folder, own.key, [head]).broken
    if broken is not None:
        raise BadData(f"the hub's own log is not whole: {broken.file} line {broken.line}: {broken.text}")


def _rows(folder: Path, upto: int | None) -> dict[str, BlueTally]:
    found: dict[str, BlueTally] = {}
    for row in rows_of(folder):
        record = row.record
        if record.what == "blue" and record.deployment is not None and (upto is None or row.seq <= upto):
            found[record.deployment] = BlueTally(
                passes=record.passes or 0,
                recognised=record.recognised or 0,
                without_pass=record.without_pass or 0,
            )
    return found


def _totals(tally: BlueTally) -> Totals:
    return tally.passes, tally.recognised, tally.without_pass
