"""Facts about each step of the recognition, for measuring: `lfr bench recall` explains misses with them.

1. An observer gets numbers and names of steps, never a picture or a template, in frame order and in one thread.
2. It changes nothing: a pipeline with an observer gives the same candidates as one without.
3. The worker of a device never has one (tests/unit/worker/test_worker_observes_nothing.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from device.domain.sight import Face


class LookOutcome(Enum):
    """How one look of the recogniser ended."""

    NO_LANDMARKS = "no landmarks"
    DEGENERATE = "landmarks not of a face"
    SCREENED = "the screen excludes everybody listed"
    RAW_LENGTH = "raw length too small"
    TOO_POOR_FOR_DOUBT = "too poor to identify"
    SEEN_TWICE = "a face of somebody in view, found twice"
    KEPT = "kept in its passage"
    LEFT = "unlike its passage: a passage of its own, or another one"


class NoLook(Enum):
    """Why a person in view was not looked at in a frame."""

    SIZE = "face too small"
    NO_SLOT = "no passage free"
    ONE_SIGHTING = "seen once only"
    CADENCE = "recognised a moment ago"
    NO_GAIN = "no better than earlier shots"
    BUDGET = "others were more urgent"


@dataclass(frozen=True, slots=True)
class Look:
    """One look.

    passage  before it;  settled  the passage that its template went to, None without one
    quality  0..1 of the template, None without one
    entry, score  of the list, nearest to this template alone; None without one that could be compared
    """

    frame: int
    track: int
    passage: int
    outcome: LookOutcome
    settled: int | None = None
    quality: float | None = None
    entry: str | None = None
    score: float | None = None


@dataclass(frozen=True, slots=True)
class Weighed:
    """The decision about a passage: its `score` for `entry`, the threshold, whether it was stated."""

    frame: int
    passage: int
    entry: str
    score: float
    threshold: float
    stated: bool


class Observer(Protocol):
    """Receives the facts; numbers of passages and tracks are the pipeline's own."""

    def detected(self, frame: int, faces: Sequence[Face]) -> None:
        """All faces of a frame that lie in the zone; every frame that was looked at, empty ones too."""
        ...

    def followed(self, frame: int, track: int, passage: int | None, face: Face) -> None:
        """A face belongs to a track, and that to a passage: one that is new begins."""
        ...

    def not_looked(self, frame: int, track: int, why: NoLook) -> None:
        """A followed face was not looked at in this frame."""
        ...

    def looked(self, look: Look) -> None:
        """A followed face was looked at."""
        ...

    def weighed(self, decision: Weighed) -> None:
        """A passage was weighed against the list."""
        ...

    def joined(self, frame: int, earlier: int, later: int) -> None:
        """Two passages were found to be one person: `later` is merged into `earlier`."""
        ...

    def ended(self, passage: int) -> None:
        """A passage was closed and wiped."""
        ...
