"""lgpio for Pythons that the index has no wheel of it for (3.13 and later): built from the locked source, once.

What needs it are real GPIO lines and their tests; nothing else stops without it. Standard library only.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from tools.dev.gate.locked import locked, pip_install, selection
from tools.dev.gate.system_packages import SetupFailed, install, say

NAME = "lgpio"
STATIC = {"PYPI": "1"}
"""Its setup.py then compiles the C library in, instead of asking for one of the system."""
VERSION = "import sys; print('%d.%d' % sys.version_info[:2])"


def provide_gpio_library(venv: Path) -> bool:
    """Build lgpio into an environment unless it is there; whether it is now.

    As root the compiler's packages are installed. Where they are missing a line on stderr names them.
    """
    place = next(venv.glob("lib/python*/site-packages"))
    if (place / f"{NAME}.py").exists():
        return True
    python = venv / "bin" / "python"
    needed = packages(python)
    if needed and os.geteuid() == 0 and shutil.which("apt-get"):
        try:
            install(needed)
        except SetupFailed as fault:
            say(str(fault))
        needed = packages(python)
    if not needed:
        say(f"building {NAME}")
        done = pip_install(python, selection(["build"], base=False), "-q")
        if done == 0 and pip_install(python, source(), "-q", "--no-binary", NAME, environment=STATIC) == 0:
            return True
    remedy = f"as root: apt-get install {' '.join(needed)}" if needed else "pip's message is above"
    say(f"continuing without {NAME}, which GPIO lines and their tests need; {remedy}")
    return False


def packages(python: Path) -> tuple[str, ...]:
    """Debian's packages that are missing for the build."""
    version = subprocess.run([python, "-c", VERSION], capture_output=True, text=True, check=True).stdout.strip()
    asked = "import sysconfig; print(sysconfig.get_path('include'))"
    headers = subprocess.run([python, "-c", asked], capture_output=True, text=True, check=True).stdout.strip()
    there = {
        "gcc": shutil.which("gcc") is not None,
        "libc6-dev": Path("/usr/include/stdio.h").exists(),
        "swig": shutil.which("swig") is not None,
        f"python{version}-dev": (Path(headers) / "Python.h").exists(),
    }
    return tuple(package for package, found in there.items() if not found)


def source() -> str:
    """The locked version as a requirement for every Python, with the hashes of its files."""
    entry = next(one for one in locked() if one.name == NAME)
    hashes = " ".join(f"--hash=sha256:{each}" for each in entry.sha256)
    return f"{NAME}=={entry.version} {hashes}\n"
