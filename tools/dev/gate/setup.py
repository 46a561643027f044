"""`make setup`: everything the other commands need, made once and left alone after that.

Steps, in order; each looks first and does nothing when its result is there:
  1. `.venv` with pip                 4. models, fetched by hash and prepared
  2. this package with its tools      5. sample photos
  3. programs: mosquitto, systemd-analyze

A step's stamp is written after it succeeded, so an interrupted one runs again. Standard library only: it runs under
the system's Python, before anything is installed.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tools.dev.gate.gpio_library import provide_gpio_library
from tools.dev.gate.locked import fingerprint, install_project
from tools.dev.gate.system_packages import (
    MOSQUITTO,
    STRACE,
    SYSTEMD_ANALYZE,
    SetupFailed,
    apt_options,
    install,
    provide,
    run,
    say,
)

ROOT = Path(__file__).resolve().parents[3]
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
LFR = VENV / "bin" / "lfr"
EXIT_UNAVAILABLE = 69
EXIT_INTERRUPTED = 130


def main() -> int:
    """Run all steps under a lock; 0, or 69 with the remedy on stderr."""
    cache = Path(os.environ.get("LFR_CACHE") or ROOT / ".cache")
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with (cache / "setup.lock").open("w") as lock:
            wait_for(lock.fileno())
            for step in STEPS:
                step(cache)
    except SetupFailed as fault:
        say(f"failed: {fault}")
        return EXIT_UNAVAILABLE
    except OSError as fault:
        say(f"failed: {fault}. Is the disk full, or the folder not writable for you?")
        return EXIT_UNAVAILABLE
    except KeyboardInterrupt:
        say("interrupted; run it again to go on")
        return EXIT_INTERRUPTED
    return 0


def wait_for(lock: int) -> None:
    """Take the lock; print a line when another `make` holds it."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        say("another setup runs in this folder; waiting for it")
        fcntl.flock(lock, fcntl.LOCK_EX)


def venv(cache: Path) -> None:
    """Step 1. A folder that was moved or copied is made anew: a venv holds absolute paths."""
    stamp = VENV / ".lfr-place"
    place = str(ROOT)
    if PYTHON.exists() and read(stamp) == place:
        return
    if PYTHON.exists() and not stamp.exists() and has_pip(PYTHON):
        stamp.write_text(place)
        return
    say(f"making .venv with Python {sys.version.split()[0]}")
    if not has_module("ensurepip") and os.geteuid() == 0 and shutil.which("apt-get"):
        install((f"python{sys.version_info[0]}.{sys.version_info[1]}-venv",))
    if (
        subprocess.run([sys.executable, "-c", "import ensurepip"], stderr=subprocess.DEVNULL, check=False).returncode
        == 0
    ):
        make_venv()
    else:
        make_venv("--without-pip")
        pip_from_package(cache)
    stamp.write_text(place)


def make_venv(*options: str) -> None:
    """python -m venv, or SetupFailed with the package that has it."""
    made = subprocess.run(
        [sys.executable, "-m", "venv", "--clear", *options, str(VENV)], stdout=2, stdin=subprocess.DEVNULL, check=False
    )
    if made.returncode != 0:
        raise SetupFailed(
            "python -m venv failed. Install the venv package of your Python (Debian, Ubuntu: "
            f"apt-get install python{sys.version_info[0]}.{sys.version_info[1]}-venv), then run `make setup` again"
        )


def pip_from_package(cache: Path) -> None:
    """Put pip into a venv made without it, out of the distribution's package of its wheel (no root needed)."""
    folder = cache / "system"
    options = apt_options(folder)
    (folder / "debs").mkdir(parents=True, exist_ok=True)
    if run(["apt-get", *options, "-qq", "download", "python3-pip-whl"], cwd=folder / "debs") != 0:
        run(["apt-get", *options, "-qq", "update"])
        run(["apt-get", *options, "-qq", "download", "python3-pip-whl"], cwd=folder / "debs")
    for deb in (folder / "debs").glob("python3-pip-whl*.deb"):
        run(["dpkg-deb", "-x", str(deb), str(folder)])
        deb.unlink()
    wheels = sorted((folder / "usr" / "share" / "python-wheels").glob("pip-*.whl"))
    if not wheels or run([str(PYTHON), str(wheels[-1] / "pip"), "install", "-q", "--no-index", str(wheels[-1])]) != 0:
        raise SetupFailed(
            "this Python has no ensurepip and pip could not be brought. As root: "
            f"apt-get install python{sys.version_info[0]}.{sys.version_info[1]}-venv, then `make setup` again"
        )


def package(_cache: Path) -> None:
    """Step 2. Editable, so the sources are what runs; again only when pyproject.toml or the lock changed."""
    stamp = VENV / ".lfr-installed"
    wanted = fingerprint()
    if LFR.exists() and read(stamp) == wanted:
        return
    say("installing lfr-edge and its dependencies, by hash (about 500 MB, once)")
    quiet = [] if sys.stderr.isatty() else ["-q"]
    if install_project(PYTHON, ["dev"], *quiet) != 0:
        raise SetupFailed("pip could not install the dependencies (its message is above). With a network: `make setup`")
    provide_gpio_library(VENV)
    stamp.write_text(wanted)


def programs(cache: Path) -> None:
    """Step 3. The checker of unit files is for `make check` alone, so its absence stops nothing here."""
    provide(MOSQUITTO, cache)
    provide(STRACE, cache)
    try:
        provide(SYSTEMD_ANALYZE, cache)
    except SetupFailed as fault:
        say(f"continuing without systemd-analyze, which `make check` needs: {fault}")


def models(cache: Path) -> None:
    """Step 4."""
    made_once(cache, "models", ("engines",), ("models",), (["engines", "fetch"], ["engines", "prepare"]))


def samples(cache: Path) -> None:
    """Step 5."""
    made_once(cache, "samples", ("tools/dev/samples",), ("samples",), (["samples", "fetch"],))


def checkers(cache: Path) -> None:
    """Step 6: what the browser tests check the page with."""
    if not list(cache.glob("packages/axe-*/*/axe.min.js")):
        run([str(PYTHON), "-c", "from tools.dev.gate.axe import axe_script; axe_script()"])


STEPS: tuple[Callable[[Path], None], ...] = (venv, package, programs, models, samples, checkers)


def made_once(
    cache: Path, name: str, sources: Sequence[str], results: Sequence[str], commands: Sequence[list[str]]
) -> None:
    """Run `lfr` commands unless the stamp says that these sources made the files that are still there."""
    stamp = cache / f"{name}.json"
    wanted = digest(sources)
    before = stamped(stamp)
    if before.get("sources") == wanted and before["files"].items() <= sizes(cache, results).items():
        return
    say(f"getting {name}")
    environment = {**os.environ, "LFR_CACHE": str(cache)}
    for command in commands:
        if run([str(LFR), *command], environment) != 0:
            raise SetupFailed(f"`lfr {' '.join(command)}` failed (its message is above); then run `make setup` again")
    files = sizes(cache, results)
    if not files:
        raise SetupFailed(f"{name} left nothing under {cache}; a defect: please report it with the output above")
    fresh = stamp.with_suffix(".new")
    fresh.write_text(json.dumps({"sources": wanted, "files": files}))
    fresh.replace(stamp)


def stamped(stamp: Path) -> dict[str, Any]:
    """A stamp's content; a broken one (interrupted while it was written) is empty, and the step runs again."""
    try:
        content = json.loads(read(stamp) or "{}")
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}


def digest(folders: Sequence[str]) -> str:
    """sha256 over the Python sources of some folders of the repository."""
    total = hashlib.sha256()
    for path in sorted(p for folder in folders for p in (ROOT / folder).rglob("*.py")):
        total.update(str(path.relative_to(ROOT)).encode() + b"\0" + path.read_bytes())
    return total.hexdigest()


def sizes(cache: Path, folders: Sequence[str]) -> dict[str, int]:
    """Size in bytes of every file under some folders of the cache, by relative path."""
    files = (p for folder in folders for p in (cache / folder).rglob("*") if p.is_file())
    return {str(p.relative_to(cache)): p.stat().st_size for p in files}


def has_module(name: str) -> bool:
    """Whether the Python that runs this has a module."""
    command = [sys.executable, "-c", f"import {name}"]
    return subprocess.run(command, stderr=subprocess.DEVNULL, check=False).returncode == 0


def has_pip(python: Path) -> bool:
    """Whether a venv's Python has pip."""
    command = [str(python), "-m", "pip", "--version"]
    return subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False).returncode == 0


def read(path: Path) -> str:
    """Text of a small file, empty when it is not there."""
    try:
        return path.read_text()
    except FileNotFoundError:
        return ""


if __name__ == "__main__":
    sys.exit(main())
