"""A shifted wall clock for the tests: processes and their children see it, waits do not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tools.dev.gate.another_day import compiled, environment

SEEN = """
import os, subprocess, time
from datetime import datetime, timezone
from pathlib import Path

since = time.monotonic()
time.sleep(0.05)
assert 0.05 <= time.monotonic() - since < 3600
print(datetime.now(timezone.utc).date())
print(subprocess.run(["date", "-u", "+%F"], capture_output=True, text=True, check=True).stdout.strip())
file = Path("written")
file.write_text("now")
print(abs(time.time() - file.stat().st_mtime) < 3600)
os.utime(file, (1_000_000_000, 1_000_000_000))
print(file.stat().st_mtime)
"""


def test_a_process_its_children_and_its_files_are_on_that_day_and_waits_are_not_longer(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SEEN],
        cwd=tmp_path,
        env=environment("2028-02-29T12:00", compiled(tmp_path)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.split() == ["2028-02-29", "2028-02-29", "True", "1000000000.0"], done.stderr
