"""The counts of a deployment's blue list, as the hub keeps them with its other counts (true_recognition.py counts)."""

from __future__ import annotations

import msgspec


class Waiting(msgspec.Struct, frozen=True):
    """A pass or a recognition that is not counted yet. ref: None for a pass that names nobody."""

    at: str
    ref: str | None = None


class BlueTally(msgspec.Struct, kw_only=True):
    """Counts of one deployment. groups: group to passes and recognised passes."""

    passes: int = 0
    recognised: int = 0
    without_pass: int = 0
    groups: dict[str, tuple[int, int]] = {}
    waiting_passes: list[Waiting] = []
    waiting_seen: list[Waiting] = []
