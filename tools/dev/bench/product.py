"""Runs the product for measuring: `lfr replay` in a process of its own, its one JSON object read from stdout."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from device.errors import EngineUnavailable

TIMEOUT_S = 1800
"""A recording of minutes on a slow machine; a hang must still end."""


class ReplayFailed(EngineUnavailable):
    """`lfr replay` ended with another status than 0, or wrote something else than its object."""


def lfr() -> str:
    """Path of the `lfr` command of this installation."""
    beside = Path(sys.executable).with_name("lfr")
    return str(beside) if beside.exists() else shutil.which("lfr") or "lfr"


def replay(clip: Path, watchlist: Path, options: Sequence[str] = ()) -> dict[str, Any]:
    """What `lfr replay CLIP --watchlist DIR --json` prints; raises ReplayFailed with the last lines of its stderr."""
    command = [lfr(), "replay", str(clip), "--watchlist", str(watchlist), "--json", *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    if done.returncode:
        output = "\n".join(done.stderr.strip().splitlines()[-5:])
        raise ReplayFailed(f"{' '.join(command)}: exit status {done.returncode}; its output:\n{output}")
    try:
        document: dict[str, Any] = json.loads(done.stdout)
    except ValueError as fault:
        raise ReplayFailed(f"{' '.join(command)}: stdout is not one JSON object: {done.stdout[:200]!r}") from fault
    return document
