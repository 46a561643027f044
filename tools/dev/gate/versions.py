"""`make versions`: the fast tests on every supported Python that this machine has; the others are named as not run.

Each gets an environment of its own under `.cache/pythons/`. Name interpreters that are not on PATH:
make versions PYTHONS='/path/to/python3.10 /path/to/python3.12'.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from engines.places import cache_dir
from tools.dev.gate.gpio_library import provide_gpio_library
from tools.dev.gate.locked import PYTHONS, fingerprint, install_project

ROOT = Path(__file__).resolve().parents[3]
TESTS = ("tests/unit", "tests/contract", "tests/sim")


def main(named: list[str]) -> int:
    """0 when the tests pass on every Python found; 1 otherwise."""
    found = {version: python for python in (*named, *(f"python{v}" for v in PYTHONS)) if (version := asked(python))}
    failed = []
    for version in PYTHONS:
        if version not in found:
            print(f"not run: Python {version} (no interpreter here)", flush=True)
        elif not passes(version, found[version]):
            failed.append(version)
    for version in failed:
        print(f"FAILED: Python {version}")
    return 1 if failed else 0


def asked(python: str) -> str:
    """The version of an interpreter as `3.10`; empty when it does not run or is none of ours."""
    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    try:
        done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False)
    except OSError:
        return ""
    version = done.stdout.strip()
    return version if done.returncode == 0 and version in PYTHONS else ""


def passes(version: str, python: str) -> bool:
    """Install into an environment of this Python if need be, and run the tests there."""
    environment = cache_dir() / "pythons" / version
    inside, stamp = environment / "bin" / "python", environment / "installed"
    wanted = fingerprint()
    if not stamp.is_file() or stamp.read_text() != wanted:
        print(f"Python {version}: installing", flush=True)
        subprocess.run([python, "-m", "venv", "--clear", str(environment)], check=True)
        if install_project(inside, ["dev"], "-q") != 0:
            print(f"Python {version}: pip could not install what is locked (its message is above)", flush=True)
            return False
        provide_gpio_library(environment)
        stamp.write_text(wanted)
    print(f"Python {version}: testing", flush=True)
    command = [str(inside), "-m", "pytest", "-p", "no:cacheprovider", *TESTS]
    return subprocess.run(command, cwd=ROOT, check=False).returncode == 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
