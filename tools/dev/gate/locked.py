"""The locked versions, read: `python3 -m tools.dev.gate.locked [EXTRA ...]` prints a requirements file with hashes.

requirements.lock is a requirements file in sections. A section's heading names the extras and dependency groups of
pyproject.toml that need its packages:

    # [base]              every installation
    # [dev hub]           installations with the extra `hub` or the extra `dev`

A selection is `base` and every section that names one of the extras, so that each machine gets its own packages and no
others: pip install --require-hashes -r FILE. Standard library only: this runs before anything is installed.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
LOCK = ROOT / "requirements.lock"
PYTHONS = ("3.10", "3.11", "3.12", "3.13", "3.14")
"""Supported versions of Python."""
BASE = "base"
EX_USAGE = 64
HEADING = re.compile(r"# \[([\w-]+(?: [\w-]+)*)\]$")
PINNED = re.compile(r"(?P<name>[A-Za-z0-9][\w.-]*)==(?P<version>[^\s;]+)(?: ; (?P<marker>[^\\]+?))?(?: \\)?$")
HASH = re.compile(r"    --hash=sha256:(?P<sha256>[0-9a-f]{64})(?: \\)?$")
COMMENT = re.compile(r"\s*#|\s*$")


@dataclass(frozen=True, slots=True)
class Locked:
    """One version of a package; a package may have several, under markers that exclude each other.

    sections  extras and groups that need it
    marker    PEP 508; empty: everywhere
    sha256    of every file of this version, lower-case hexadecimal
    text      its lines in the lock
    """

    name: str
    version: str
    sections: frozenset[str]
    marker: str
    sha256: tuple[str, ...]
    text: str


class BadLock(ValueError):
    """A line of the lock is neither a pinned version, a hash of one, a heading nor a comment."""


def locked(text: str | None = None) -> list[Locked]:
    """Everything in the lock, in its order. Raises BadLock, and OSError when it cannot be read."""
    lines = (LOCK.read_text(encoding="utf-8") if text is None else text).splitlines()
    found = []
    sections: frozenset[str] = frozenset()
    for number, line in enumerate(lines, 1):
        heading, pinned = HEADING.match(line), PINNED.match(line)
        if heading is not None:
            sections = frozenset(heading[1].split())
        elif pinned is not None:
            body = list(_body(lines[number:]))
            hashes = tuple(row_hash["sha256"] for row in body if (row_hash := HASH.match(row)))
            found_text = "\n".join((line, *body)) + "\n"
            name, version, marker = pinned["name"], pinned["version"], pinned["marker"] or ""
            found.append(Locked(name, version, sections, marker.strip(), hashes, found_text))
        elif HASH.match(line) is None and COMMENT.match(line) is None:
            raise BadLock(f"{LOCK.name}:{number}: {line!r} is no pinned version, hash, heading or comment")
    return found


def _body(lines: Sequence[str]) -> Iterator[str]:
    """The indented lines that follow a pinned version."""
    for line in lines:
        if not line.startswith("    "):
            return
        yield line


def selection(extras: Sequence[str], *, base: bool = True, without: Sequence[str] = ()) -> str:
    """A requirements file of some extras and `base`, less some packages. Raises ValueError for an unknown extra."""
    everything = locked()
    known = frozenset[str]().union(*(entry.sections for entry in everything))
    unknown = sorted(set(extras) - known)
    if unknown:
        raise ValueError(f"{LOCK.name} has no section {', '.join(unknown)}; it has {', '.join(sorted(known))}")
    wanted = {*extras, BASE} if base else {*extras}
    return "".join(entry.text for entry in everything if entry.sections & wanted and entry.name not in without)


def pip_install(
    python: Path | str, requirements: str, *options: str, environment: Mapping[str, str] | None = None
) -> int:
    """Install a selection with `python -m pip`, each file checked against its hash; pip's exit status.

    environment: variables for what is built.

    Sdists are built with the setuptools that is installed (section `build`), never with one fetched for the purpose.
    """
    with tempfile.TemporaryDirectory(prefix="lfr-lock-") as folder:
        file = Path(folder) / "requirements.txt"
        file.write_text(requirements, encoding="utf-8")
        command = [str(python), "-m", "pip", "install", "--disable-pip-version-check", "--no-input"]
        command += ["--require-hashes", "--no-build-isolation", "--use-pep517", *options, "-r", str(file)]
        whole = {**os.environ, **(environment or {})}
        return subprocess.run(command, stdin=subprocess.DEVNULL, stdout=2, env=whole, check=False).returncode


def install_project(python: Path | str, extras: Sequence[str], *options: str) -> int:
    """This package, editable, with the locked versions of some extras and of what builds it; pip's exit status."""
    status = pip_install(python, selection([*extras, "build"]), *options)
    if status != 0:
        return status
    shutil.rmtree(ROOT / "lfr_edge.egg-info", ignore_errors=True)  # an older build's: it hides the new metadata
    command = [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-input"]
    command += ["--no-deps", "--no-index", "--no-build-isolation", "-e", str(ROOT)]
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
    )
    if done.returncode != 0:  # otherwise only the build backend's general advice
        sys.stderr.write(done.stdout.decode(errors="replace"))
    return done.returncode


def fingerprint() -> str:
    """SHA-256 over what decides an installation: the lock and pyproject.toml."""
    return hashlib.sha256(LOCK.read_bytes() + (ROOT / "pyproject.toml").read_bytes()).hexdigest()


def main(extras: Sequence[str]) -> int:
    """Print a selection; 64 for an extra that the lock does not have."""
    try:
        sys.stdout.write(selection(extras))
    except ValueError as fault:
        print(fault, file=sys.stderr)
        return EX_USAGE
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
