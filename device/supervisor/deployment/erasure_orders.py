"""The supervisor's side of the eraser (device/eraser.py): orders for what it loads, receipts for what it missed.

1. The order is on disk before a deployment counts as loaded: if this program dies at any moment, the timer erases.
2. An ending first makes its order due, then erases by itself; the timer erases what is left if it fails. The order
   goes when nothing of the deployment is left.
3. An erasure in its absence is chained and published at the next start; its receipt is deleted only then.
4. The verified time only moves while the clock is synchronised and steady (device/domain/steady_clock.py): a jump of
   some seconds leaves nothing behind. A window that it has passed is over, whatever the clock
   shows. An unsynchronised clock is not used: the deployment then lasts, from now on, as long as its window is.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from device import eraser
from device.domain.steady_clock import SteadyClock
from device.domain.time import WallTime, wall
from device.durable import flush_folder
from device.errors import Unavailable, reason_of
from device.ports.clock import Clock
from device.supervisor.deployment.active import ActiveDeployment


@dataclass(frozen=True, slots=True)
class MissedErasure:
    """A list that was erased without the supervisor. file: where its receipt lies until the hub's copy is kept."""

    file: Path
    deployment: str
    subjects: int
    reason: str
    at: WallTime


class ErasureOrders:
    """Orders in one state folder. Calls block on storage; they raise Unavailable when it refuses."""

    def __init__(self, state_dir: Path, clock: Clock, *, live: bool) -> None:
        self._state_dir = state_dir
        self._clock = clock
        self._live = live
        self._verified_ms = 0
        self._steady = SteadyClock()

    def catch_up(self) -> int:
        """Erase everything past its time, as the timer does; the number of lists and alerts erased."""
        self.advance_verified_time()
        return eraser.erase(self._state_dir, self._wall_ms() if self._clock_usable else None)

    def advance_verified_time(self) -> None:
        """Store the time while the clock is synchronised and steady (rule 4)."""
        now, monotonic = self._clock.wall(), self._clock.monotonic()
        steady = self._steady.observe(now, monotonic, synchronised=self._clock.synchronised())
        verified = _ms(now) if steady else 0
        try:
            self._verified_ms = eraser.advance(self._state_dir, verified)
        except OSError as fault:
            raise self._cannot(fault) from fault

    def over(self, active: ActiveDeployment) -> bool:
        """Whether the verified time has passed the deployment's end (rule 4)."""
        return self._verified_ms >= _ms(active.deployment.window.end)

    def place(self, active: ActiveDeployment) -> None:
        """Place the order to erase this deployment after its window (rule 1)."""
        window = active.deployment.window
        now_ms = self._wall_ms() if self._clock_usable else _ms(window.start)
        self._order(active, end_ms=_ms(window.end), now_ms=now_ms)

    def due_now(self, active: ActiveDeployment, reason: str, *, all_alerts: bool) -> None:
        """Make the order due: the eraser's timer erases whatever is left (rule 2)."""
        now_ms = self._wall_ms()
        self._order(active, end_ms=0, now_ms=now_ms, reason=reason, all_alerts=all_alerts)

    def done(self, active: ActiveDeployment) -> None:
        """Delete the order: nothing of the deployment is left (rule 2)."""
        try:
            (self._folder / f"{active.deployment.id}.json").unlink(missing_ok=True)
            flush_folder(self._folder)
        except OSError as fault:
            raise self._cannot(fault) from fault

    def missed(self) -> list[MissedErasure]:
        """Erasures that happened without a supervisor (rule 3)."""
        found = []
        for file in sorted(self._folder.glob(f"*{eraser.RECEIPT}")):
            try:
                order: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
                at = wall(datetime.fromtimestamp(order["at_ms"] / 1000, timezone.utc))
                found.append(MissedErasure(file, order["deployment"], order["subjects"], order["reason"], at))
            except (OSError, ValueError, LookupError, TypeError, RecursionError):
                continue
        return found

    def reported(self, missed: MissedErasure) -> None:
        """Delete the eraser's receipt: its content is stored elsewhere now (rule 3)."""
        missed.file.unlink(missing_ok=True)

    @property
    def _folder(self) -> Path:
        return self._state_dir / eraser.ORDERS

    @property
    def _clock_usable(self) -> bool:
        return self._clock.synchronised() or not self._live

    def _order(self, active: ActiveDeployment, *, end_ms: int, now_ms: int, **details: Any) -> None:
        deployment = active.deployment
        try:
            eraser.place(
                self._state_dir,
                deployment.id,
                active.files,
                end_ms,
                now_ms,
                mode=deployment.mode.value,
                subjects=deployment.watchlist.subjects,
                **details,
            )
        except OSError as fault:
            raise self._cannot(fault) from fault

    def _wall_ms(self) -> int:
        return _ms(self._clock.wall())

    def _cannot(self, fault: OSError) -> Unavailable:
        return Unavailable(
            f"no erasure order can be kept in {self._folder}: {reason_of(fault)}; no deployment is loaded without one"
        )


def _ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)
