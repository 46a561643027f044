"""The way out after the clock was wrong by a long way ahead: times that the device keeps are set to the right one.

A device keeps the latest verified time in three places, and none of them goes back by itself: the eraser's stamp, the
facts of the hub's repository, the outbox. A clock that was ahead for more than a minute leaves it in them, and then the
device refuses the right time until that moment has come.

1. Done by a person on the device (`lfr clock recover`), while no supervisor runs and the clock is synchronised.
2. The hub's signature bounds it: a timestamp is good for 24 h at most, so a clock that is earlier than its expiry less
   24 h is refused. Nothing that expired before can be made valid again but for a day. Where the hub's clock was ahead,
   too, the signature that the device keeps is from the future: then the hub is asked for its newest one, which bounds
   it instead. An older one cannot be offered: versions never go back.
3. First everything is erased that is past its time by the latest of those times. Nothing is kept longer than it would
   have been without the recovery.
4. The audit log has a row for it, with the time that was given up.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path

from device import eraser
from device.domain.time import WallTime, rfc3339, wall
from device.errors import RefusedByCondition, Unavailable
from device.outbox import file as outbox_file
from device.sync.client import FOLDER as TRUST
from device.sync.client import signed_after
from device.sync.refusal import CLOCK
from device.sync.repository_copy import Store

AHEAD = timedelta(seconds=60)
AskHub = Callable[[], tuple[str, WallTime]]
"""Client.hub_signed_after."""


@dataclass(frozen=True, slots=True)
class KeptTime:
    """A time that the device keeps. place: where, for a person."""

    place: str
    at: WallTime


class ClockRecovery:
    """What one state folder keeps. outbox: its file. Raises Unavailable when the disk refuses."""

    def __init__(self, state_dir: Path, outbox: Path, now: WallTime) -> None:
        self._state_dir = state_dir
        self._outbox = outbox
        self._now = now

    def ahead(self) -> list[KeptTime]:
        """The kept times that are later than the clock by more than AHEAD."""
        found = [KeptTime("erasure", _wall(eraser.verified(self._state_dir)))]
        found += [
            KeptTime(f"repository ({store.folder.name})", facts.verified_at)
            for store in self._stores()
            if (facts := store.facts()) is not None
        ]
        found.append(KeptTime("outbox", _wall(outbox_file.kept_clock_ms(self._outbox))))
        return [kept for kept in found if kept.at > self._now + AHEAD]

    def require_plausible(self, ask_hub: AskHub) -> None:
        """Raises RefusedByCondition when the hub's signature shows that the clock is behind (rule 2)."""
        for store in self._stores():
            bound = None if store.current is None else signed_after(store.current)
            if bound is not None and self._now < bound:
                self._require_hub_agrees(store.folder.name, bound, ask_hub)

    def _require_hub_agrees(self, mode: str, kept: WallTime, ask_hub: AskHub) -> None:
        found = f"the clock shows {rfc3339(self._now)}, and the hub signed its timestamp after"
        way_out = "set the clock first; if the hub's was ahead, too, start it and try again a minute later"
        try:
            asked, newest = ask_hub()
        except (RefusedByCondition, Unavailable) as fault:
            text = f"{found} {rfc3339(kept)}: {way_out} (the hub's newest one: {fault})"
            raise RefusedByCondition(CLOCK.value, text) from fault
        if asked != mode or self._now < newest:
            raise RefusedByCondition(CLOCK.value, f"{found} {rfc3339(newest if asked == mode else kept)}: {way_out}")

    def recover(self) -> int:
        """Erase what the latest kept time makes due, then set them all to the clock (rule 3); how much was erased."""
        latest = max((kept.at for kept in self.ahead()), default=self._now)
        erased = eraser.erase(self._state_dir, _ms(latest))
        now_ms = _ms(self._now)
        eraser.set_verified(self._state_dir, now_ms)
        for store in self._stores():
            store.set_verified_at(self._now)
        outbox_file.set_clock_ms(self._outbox, now_ms)
        return erased

    def _stores(self) -> list[Store]:
        folders = sorted(path for path in (self._state_dir / TRUST).glob("*") if path.is_dir())
        return [Store(folder, folder) for folder in folders]


def _ms(moment: WallTime) -> int:
    return round(moment.timestamp() * 1000)


def _wall(ms: int) -> WallTime:
    return wall(datetime.fromtimestamp(ms / 1000, timezone.utc))
