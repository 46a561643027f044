"""`make newest`: `make check` with the newest versions that pyproject.toml allows, in place of the locked ones.

For whoever renews the lock, and now and then by hand: it shows which library breaks what before the lock brings it.
Its environment is `.cache/newest`, made anew each time; `.venv` and the lock stay as they are.
"""

from __future__ import annotations

import subprocess
import sys

from engines.places import cache_dir
from tools.dev.gate.locked import ROOT, Locked, locked

EXIT_UNAVAILABLE = 69


def main() -> int:
    """Exit status of the check; 69 when pip could not install."""
    environment = cache_dir() / "newest"
    python = environment / "bin" / "python"
    print("newest: installing what pyproject.toml allows, without the lock", file=sys.stderr, flush=True)
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(environment)], check=True)
    pip = [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-input"]
    if subprocess.run([*pip, "-e", f"{ROOT}[dev]"], stdin=subprocess.DEVNULL, check=False).returncode != 0:
        return EXIT_UNAVAILABLE
    listed = subprocess.run(
        [str(python), "-m", "pip", "list", "--format=freeze"], capture_output=True, text=True, check=True
    )
    for line in differences(listed.stdout, locked()) or ["no package is newer than in the lock"]:
        print(f"newest: {line}", file=sys.stderr, flush=True)
    return subprocess.run([str(python), "-m", "tools.dev.gate", "check"], cwd=ROOT, check=False).returncode


def differences(installed: str, entries: list[Locked]) -> list[str]:
    """Packages that are installed in a version that the lock does not have; `installed` is `pip list`'s freeze."""
    known: dict[str, set[str]] = {}
    for entry in entries:
        known.setdefault(entry.name, set()).add(entry.version)
    found = []
    for line in installed.splitlines():
        name, _, version = line.partition("==")
        locked_versions = known.get(name.lower().replace("_", "-"))
        if locked_versions is not None and version not in locked_versions:
            found.append(f"{name} {version}, locked {' or '.join(sorted(locked_versions))}")
    return found


if __name__ == "__main__":
    sys.exit(main())
