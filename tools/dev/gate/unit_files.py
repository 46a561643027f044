"""Check the files of systemd/: `systemd-analyze verify` must print nothing about any unit.

1. It exits 0 on an unknown key and only prints a line on stderr (seen with systemd 252), so any output fails.
2. Without root and without a running systemd it checks as the user's manager does; both know the same keys.
3. Programs that the units start are not installed here; copies are checked in which each names /bin/true instead.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from engines.places import cache_dir
from tools.dev.gate.system_packages import SYSTEMD_ANALYZE, SetupFailed, provide

ROOT = Path(__file__).resolve().parents[3]
KINDS = (".service", ".socket", ".target", ".timer", ".path", ".mount", ".slice")
STARTED = re.compile(r"^(Exec\w+\s*=\s*[-@:+!|]*)/\S+", re.MULTILINE)


def main(folder: Path = ROOT / "systemd") -> int:
    """0 when all units are valid, 1 with systemd's output, 69 when there is no systemd-analyze."""
    units = sorted(p for p in folder.iterdir() if p.suffix in KINDS)
    if not units:
        print(f"no unit files in {folder.name}/ yet")
        return 0
    try:
        program = provide(SYSTEMD_ANALYZE, cache_dir())
    except SetupFailed as fault:
        print(fault, file=sys.stderr)
        return 69
    output = verify(program, units)
    print(output or f"{len(units)} unit files are sound")
    return 1 if output else 0


def verify(program: Path, units: list[Path]) -> str:
    """systemd-analyze's output about copies of some units (rule 3); empty when there is none."""
    with tempfile.TemporaryDirectory(prefix="lfr-units-") as scratch:
        copies = []
        for unit in units:
            copy = Path(scratch) / unit.name
            copy.write_text(STARTED.sub(r"\1/bin/true", unit.read_text(encoding="utf-8")), encoding="utf-8")
            copies.append(str(copy))
        manager = [] if os.geteuid() == 0 or Path("/run/systemd").is_dir() else ["--user"]
        places = {"HOME": scratch, "XDG_RUNTIME_DIR": scratch} if manager else {}
        command = [str(program), "verify", *manager, "--man=no", *copies]
        done = subprocess.run(command, env={**os.environ, **places}, capture_output=True, text=True, check=False)
    output = (done.stdout + done.stderr).strip()
    return output or (f"systemd-analyze ended with status {done.returncode}" if done.returncode else "")


if __name__ == "__main__":
    sys.exit(main())
