"""The fast tests on another day: `python -m tools.dev.gate.another_day 2028-02-29T12:00 [PYTEST ARGUMENTS]`.

The wall clock of pytest and of all that it starts is shifted by a preloaded library (shifted_clock.c), compiled here;
monotonic clocks are not. Without a date the tests run on each of DAYS. Needs gcc.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from datetime import datetime, timezone
from pathlib import Path

from tools.dev.gate.stages import FOLDERS, ROOT

DAYS = ("2027-02-28T12:00", "2028-02-29T12:00", "2031-12-31T23:59")
SOURCE = Path(__file__).with_name("shifted_clock.c")


def main(arguments: list[str]) -> int:
    """0 when the tests hold on every day, 1 otherwise."""
    days, rest = (arguments[:1], arguments[1:]) if arguments and arguments[0][:1].isdigit() else (list(DAYS), arguments)
    with tempfile.TemporaryDirectory() as folder:
        library = compiled(Path(folder))
        return max(tested(day, library, rest or ["-m", "not slow", *FOLDERS]) for day in days)


def compiled(folder: Path) -> Path:
    """The library, made in this folder."""
    library = folder / "shifted_clock.so"
    subprocess.run(["gcc", "-shared", "-fPIC", "-O1", "-Wall", "-o", library, SOURCE], check=True)
    return library


def environment(day: str, library: Path) -> dict[str, str]:
    """Of a process for which it is this day now, UTC."""
    shift = datetime.fromisoformat(day).replace(tzinfo=timezone.utc) - datetime.now(timezone.utc)
    return {**os.environ, "LD_PRELOAD": str(library), "LFR_CLOCK_SHIFT_S": str(round(shift.total_seconds()))}


def tested(day: str, library: Path, arguments: list[str]) -> int:
    """1 when tests fail on this day."""
    print(f"{day}:", flush=True)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments]
    return int(subprocess.run(command, cwd=ROOT, env=environment(day, library), check=False).returncode != 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
