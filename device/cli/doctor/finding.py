"""One line of `lfr doctor`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from device.domain.symptoms.row import Remedy

Level = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of a check. remedy: from the table of symptoms; None when there is nothing to do."""

    name: str
    level: Level
    text: str
    remedy: Remedy | None = None
