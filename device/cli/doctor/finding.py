"""One line of `lfr doctor`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Level = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found. remedy: what to do about it, empty when there is nothing to do."""

    name: str
    level: Level
    text: str
    remedy: str = ""
