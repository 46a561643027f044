"""Progress bars: redrawn in place on a terminal, a line every few seconds in a log."""

from __future__ import annotations

import sys
from typing import Any

_IN_PLACE_S, _IN_A_LOG_S = 0.1, 5.0


def bar() -> dict[str, Any]:
    """Arguments for tqdm: on stderr, gone when done."""
    return {
        "file": sys.stderr,
        "leave": False,
        "mininterval": _IN_PLACE_S if sys.stderr.isatty() else _IN_A_LOG_S,
    }
