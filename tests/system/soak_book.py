"""The soak's book: one line an episode, appended when the episode is over and checked; the sums are of its lines.

1. An episode counts whole or not at all: one that was interrupted leaves no line, and a line that was torn by a power
   cut is not read. So an interruption counts nothing twice, and nothing that was not checked.
2. An episode's id is of its own: the same line again changes no sum.
3. An episode with a finding is a line as any other; findings are never left out. A whole line that is no episode (of
   another version), or another episode of the same id (of another machine), is an error and not passed over.
"""

from __future__ import annotations

import fcntl
import os
from collections import Counter
from pathlib import Path

import msgspec


class Episode(msgspec.Struct, frozen=True, kw_only=True):
    """One episode: what was done and found. kind: van (whole devices), hub (the drill of
    hub_kills.py) or cut (soak_cuts.py).

    lost       alerts that were stored on a device, unjudged, and did not come (back) to the page
    ghosts     alerts that were judged false and came back, or that nobody raised
    undeleted  alerts that should be erased on a device or at the hub, and traces of people that were left at the end
    unbalanced reports and audit logs whose counts differ from what was done
    problems   the text of every finding
    """

    id: str
    kind: str
    seed: int
    at: str
    machine: str
    load: float
    seconds: float
    kills: dict[str, int]
    alerts: int
    judged: dict[str, int]
    lost: int = 0
    ghosts: int = 0
    undeleted: int = 0
    unbalanced: int = 0
    back_s_most: float = 0.0
    problems: list[str] = []


class Sums(msgspec.Struct, kw_only=True):
    """All episodes together."""

    episodes: int = 0
    kills: dict[str, int] = {}
    kills_in_all: int = 0
    alerts: int = 0
    judged: dict[str, int] = {}
    lost: int = 0
    ghosts: int = 0
    undeleted: int = 0
    unbalanced: int = 0
    back_s_most: float = 0.0
    problems: list[str] = []

    @property
    def clean(self) -> bool:
        return not (self.lost or self.ghosts or self.undeleted or self.unbalanced or self.problems)


class SoakBook:
    """The file."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def episodes(self) -> list[Episode]:
        """Every whole line, each id once (rules 1 and 2). ValueError: rule 3."""
        try:
            content = self._file.read_bytes()
        except FileNotFoundError:
            return []
        found: dict[str, Episode] = {}
        for line in content.splitlines():
            try:
                episode = msgspec.json.decode(line, type=Episode)
            except msgspec.ValidationError as fault:
                raise ValueError(f"{self._file}: a line is no episode ({fault}); begin another --book") from fault
            except (msgspec.DecodeError, UnicodeDecodeError):
                continue
            if found.setdefault(episode.id, episode) != episode:
                raise ValueError(f"{self._file}: two episodes are called {episode.id}")
        return list(found.values())

    def add(self, episode: Episode) -> None:
        """Append a line and flush it; a torn line before it is ended first."""
        self._file.parent.mkdir(parents=True, exist_ok=True)
        with self._file.open("ab+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            size = file.seek(0, os.SEEK_END)
            if size:
                file.seek(size - 1)
                torn = file.read(1) != b"\n"
            else:
                torn = False
            file.write((b"\n" if torn else b"") + msgspec.json.encode(episode) + b"\n")
            file.flush()
            os.fsync(file.fileno())

    def next_seed(self) -> int:
        """One that no episode had."""
        return max((episode.seed for episode in self.episodes()), default=0) + 1

    def sums(self) -> Sums:
        """All lines together."""
        sums, kills, judged = Sums(), Counter[str](), Counter[str]()
        for episode in self.episodes():
            kills.update(episode.kills)
            judged.update(episode.judged)
            sums.episodes += 1
            for name in ("alerts", "lost", "ghosts", "undeleted", "unbalanced"):
                setattr(sums, name, getattr(sums, name) + getattr(episode, name))
            sums.back_s_most = max(sums.back_s_most, episode.back_s_most)
            sums.problems = [*sums.problems, *(f"{episode.id}: {problem}" for problem in episode.problems)]
        sums.kills, sums.judged = dict(sorted(kills.items())), dict(sorted(judged.items()))
        sums.kills_in_all = sum(kills.values())
        return sums
