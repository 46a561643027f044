"""What the console needs of a published deployment, to check devices' messages."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from device.domain.time import WallTime


@dataclass(frozen=True, slots=True)
class PublishedDeployment:
    """One deployment that this hub published.

    planned_end  end of its window;  alerts_until: the latest `delete_by` that its signed policy allows
    refs         entries on its list; None when the hub does not know them (no more)
    subjects, recognisers   as its signed list says: how many people, SHA-256 of the recognisers; empty when not known
    volunteers  on its blue list, with the end of the consent; not those who were taken off
    offsets      what each category adds to the threshold
    """

    id: str
    mode: str
    devices: frozenset[str]
    planned_end: WallTime
    alerts_until: WallTime | None
    ended_at: WallTime | None
    refs: frozenset[str] | None
    watchlist_id: str
    subjects: int = 0
    recognisers: frozenset[str] = frozenset()
    volunteers: Mapping[str, WallTime] = field(default_factory=dict)
    offsets: Mapping[str, float] = field(default_factory=dict)


Published = Callable[[], dict[str, PublishedDeployment]]
"""Deployment id to what was published, now; cheap to call."""


def nothing_published() -> dict[str, PublishedDeployment]:
    """A hub without a repository."""
    return {}
