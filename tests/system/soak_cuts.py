"""Power cuts that lose every unflushed write, at random moments of an update and of a state folder's life.

The programs of `tests/lost_writes` run once an episode, recorded; each cut is one replay up to a random write, half
of the last one at times, after which the device goes on: an update is brought to its end, outbox and log are opened.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from device.audit.key import read_public
from device.audit.verify import verify
from device.edges.clock.system import SystemClock
from device.errors import LfrError
from device.outbox.store import Outbox
from device.update.updater import attempt
from tests.lost_writes import outbox_life
from tests.lost_writes.disk import Disk, recorded
from tests.unit.update.conftest import board_at

UPDATE, STATE = "power cut in an update", "power cut of a state folder"
VERSIONS = ("0.2.0", "0.3.0")


@dataclass
class CutEpisode:
    """What was done and found; the fields of an `Episode`."""

    folder: Path
    seed: int
    kills: Counter[str] = field(default_factory=Counter)
    alerts: int = 0
    lost: int = 0
    ghosts: int = 0
    undeleted: int = 0
    unbalanced: int = 0
    problems: list[str] = field(default_factory=list)

    def play(self, cuts: int) -> None:
        """Half of the cuts in an update, half in a state folder."""
        chosen = random.Random(self.seed)
        lives = {}
        for name in ("update", "outbox", "audit"):
            (self.folder / name).mkdir(parents=True)
            lives[name] = recorded(f"tests.lost_writes.{name}_life", self.folder / name)
        for number in range(cuts):
            name = "update" if number % 2 == 0 else chosen.choice(("outbox", "audit"))
            at, marks = chosen.choice([cut for cut in lives[name].cuts() if name != "update" or "begin" in cut[1]])
            torn = name != "outbox" and chosen.random() < 0.5  # SQLite's promise is of whole sectors
            place = lives[name].after(at, self.folder / "cut", torn=torn)
            self.kills[UPDATE if name == "update" else STATE] += 1
            try:
                getattr(self, f"_{name}")(place, marks, lives[name])
            except (AssertionError, LfrError, OSError) as fault:
                self.problems.append(f"{name}, cut {at}{' torn' if torn else ''}: {type(fault).__name__}: {fault}")

    def _update(self, place: Path, marks: tuple[str, ...], life: Disk) -> None:
        """A whole slot boots, with its plans, and the next run commits the release."""
        board = board_at(place / "board")
        board.hub.kept_root = (life.folder.parent / "root.json").read_bytes()
        current, committed = board.named()
        assert current in VERSIONS, f"current names {current}"
        assert committed in VERSIONS, f"committed names {committed}"
        assert VERSIONS[1] not in marks or committed == VERSIONS[1], "what was committed is gone"
        attempt(board.updater(), board.folder / "stick")
        assert board.named() == (VERSIONS[1], VERSIONS[1]), f"the next run ended with {board.named()}"

    def _outbox(self, place: Path, marks: tuple[str, ...], life: Disk) -> None:
        """What was promised is there, and what was erased is not."""
        file = place / "state" / "outbox.sqlite"
        box = Outbox(file, SystemClock().wall(), log_first=True)
        held = set(box.alerts_held())
        box.close()
        kept = {mark.split()[1] for mark in marks if mark.startswith("kept")}
        self.alerts += len(kept)
        self.lost += len(kept - held - ({"a-1"} if "erasing a-1" in marks else set()))
        self.ghosts += len(held - set(outbox_life.ALERTS))
        self.undeleted += "gone a-1" in marks and "a-1" in held

    def _audit(self, place: Path, marks: tuple[str, ...], life: Disk) -> None:
        """The rows that were promised are there, and the log verifies."""
        promised = max((int(mark.split()[1]) for mark in marks), default=-1)
        state = place / "state"
        if promised < 0:
            return
        found = verify(state / "audit", read_public((state / "device.pub").read_text()))
        self.unbalanced += not found.ok or (found.last or 0) < promised
