"""lgpio for Pythons that the index has no wheel of it for (3.13 and later): the distribution's package, copied in.

Debian and Ubuntu build `python3-lgpio` for their own Python; for any other interpreter there is none. What needs it are
real GPIO lines and their tests; nothing else stops without it. Standard library only.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tools.dev.gate.system_packages import SetupFailed, install, say

PACKAGE = "python3-lgpio"
MODULES = ("lgpio", "_lgpio")
WHERE = "import importlib.util as u; print(*(s.origin for s in map(u.find_spec, ('lgpio', '_lgpio')) if s), sep='\\n')"


def provide_gpio_library(venv: Path, python: str = sys.executable) -> bool:
    """Copy lgpio into an environment of this interpreter unless it is there; whether it is now.

    As root the package is installed. Without it a line on stderr names the package and the command.
    """
    place = next(venv.glob("lib/python*/site-packages"))
    if (place / "lgpio.py").exists():
        return True
    files = packaged(python)
    if not files and os.geteuid() == 0 and shutil.which("apt-get"):
        try:
            install((PACKAGE,))
        except SetupFailed as fault:
            say(str(fault))
        files = packaged(python)
    if not files:
        say(f"continuing without lgpio, which GPIO lines and their tests need; as root: apt-get install {PACKAGE}")
        return False
    for file in sorted(files, key=lambda file: file.name, reverse=True):  # lgpio.py last: it marks the copy as whole
        shutil.copyfile(file, place / file.name)
    return True


def packaged(python: str) -> list[Path]:
    """Both modules of the distribution's package for this interpreter; empty when either is missing."""
    command = [python, "-I", "-c", WHERE]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    files = [Path(line) for line in done.stdout.splitlines()]
    return files if {file.name.partition(".")[0] for file in files} == set(MODULES) else []
