"""requirements.lock: `python -m tools.dev.gate.lock renew` writes it with uv, `check` holds it against pyproject.toml.

1. One resolution over all extras and groups, for every Python from the floor on and every processor, so that any two
   installations have the same versions.
2. uv runs with a configuration of its own and without UV_* and PIP_* of the environment: a mirror, an index or a folder
   of wheels of the machine at hand leaves no trace.
3. uv itself comes from the lock, into an environment of its own under `.cache/lock`.
4. After a renewal every supported Python and processor is tried without installing: each package outside the extras
   `device-*` must have a wheel there.
5. The check needs no network: every requirement has, on every supported Python and processor, exactly one locked
   version that satisfies it, in the section of its extra, with hashes; no host stands in the file.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from engines.places import cache_dir
from tools.dev.gate.locked import BASE, LOCK, PYTHONS, ROOT, BadLock, Locked, locked, pip_install, selection
from tools.dev.gate.pyproject import read_pyproject

FLOOR = "3.10"
MACHINES = ("x86_64", "aarch64")
PROJECT = "pyproject.toml"
GLIBC = "manylinux_2_35"
"""Of Ubuntu 22.04, the oldest system that a Jetson of the Orin family runs (JetPack 6)."""
SDISTS = ("device-systemd", "device-cuda")
"""Extras that no index has wheels for."""
CONFIGURATION = """# Requirements of sdists that name them only when their setup.py runs, for which they need headers.
[[dependency-metadata]]
name = "systemd-python"
version = "235"
requires-dist = []

[[dependency-metadata]]
name = "pycuda"
version = "2026.1"
requires-dist = ["pytools>=2011.2", "platformdirs>=2.2", "siphash24>=1.6"]
"""
HEAD = """# Every version that is installed, with its files' hashes, for Python 3.10 to 3.14 on x86-64 and aarch64.
# Written by `make lock`, checked by `make check`; do not edit. The headings name extras and groups of pyproject.toml;
# `python3 -m tools.dev.gate.locked EXTRA ...` prints what one installation needs.
"""
FOREIGN = re.compile(r"://|\.(com|io|net|org)\b")
EX_USAGE = 64
EX_UNAVAILABLE = 69


def main(arguments: Sequence[str]) -> int:
    """0 when the lock is valid, 1 with a line for each breach, 69 when uv could not be installed."""
    if arguments == ["check"]:
        found = list(breaches(LOCK.read_text(encoding="utf-8"), read_pyproject()))
        print("\n".join(found) or f"{LOCK.name} satisfies pyproject.toml")
        return 1 if found else 0
    if arguments == ["renew"]:
        return renew()
    print(__doc__.splitlines()[0], file=sys.stderr)
    return EX_USAGE


def renew() -> int:
    """Resolve anew, to the newest versions that pyproject.toml allows; write the lock and try it (rule 4)."""
    uv = own_uv()
    if uv is None:
        print("lock: uv could not be installed (pip's message is above); it needs a network", file=sys.stderr)
        return EX_UNAVAILABLE
    project = read_pyproject()
    with tempfile.TemporaryDirectory(prefix="lfr-lock-") as folder:
        work = Path(folder)
        (work / "uv.toml").write_text(CONFIGURATION, encoding="utf-8")
        whole = compiled(uv, work, PROJECT, "--all-extras", *(f"--group={name}" for name in groups(project)))
        (work / "whole.txt").write_text(whole, encoding="utf-8")
        LOCK.write_text(HEAD + "".join(sectioned(locked(whole), members(uv, work, project))), encoding="utf-8")
        if not all(tried(uv, work, python, machine) for python in PYTHONS for machine in MACHINES):
            return 1
    return main(["check"])


def own_uv() -> Path | None:
    """uv of the lock in an environment of its own (rule 3); None when pip could not install it."""
    place = cache_dir() / "lock"
    python = place / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(place)], check=True)
    status = pip_install(python, selection(["lock"], base=False), "-q")
    return place / "bin" / "uv" if status == 0 else None


def compiled(uv: Path, work: Path, *options: str) -> str:
    """`uv pip compile` with options, which name what is compiled; the text of the lock."""
    command = [str(uv), "pip", "compile", "--quiet", "--config-file", str(work / "uv.toml"), "--universal"]
    command += ["--python-version", FLOOR, "--generate-hashes", "--no-emit-index-url", "--no-header"]
    quiet = subprocess.DEVNULL
    done = subprocess.run(
        [*command, *options], cwd=ROOT, env=environment(), stdin=quiet, stdout=subprocess.PIPE, text=True, check=True
    )
    return done.stdout


def environment() -> dict[str, str]:
    """Ours without what configures pip and uv (rule 2)."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("UV_", "PIP_"))}


def groups(project: dict[str, Any]) -> list[str]:
    """Names of the dependency groups."""
    return sorted(project["dependency-groups"])


def members(uv: Path, work: Path, project: dict[str, Any]) -> dict[str, set[str]]:
    """Section to the names of its packages in the same resolution: of an extra, what it adds to `base`."""
    extras = project["project"]["optional-dependencies"]
    alone = {BASE: [PROJECT]}
    alone |= {extra: [PROJECT, f"--extra={extra}"] for extra in extras}
    alone |= {group: [f"--group={group}"] for group in groups(project)}
    whole = f"--constraints={work / 'whole.txt'}"
    found = {name: {entry.name for entry in locked(compiled(uv, work, whole, *what))} for name, what in alone.items()}
    return {section: names - found[BASE] if section in extras else names for section, names in found.items()}


def sectioned(blocks: Sequence[Locked], sections: dict[str, set[str]]) -> Iterator[str]:
    """The lock's text: packages with the same sections under one heading, `base` first."""
    together: dict[tuple[str, ...], list[Locked]] = defaultdict(list)
    for block in blocks:
        together[tuple(sorted(section for section, names in sections.items() if block.name in names))].append(block)
    for names in sorted(together, key=lambda names: (names != (BASE,), names)):
        yield f"\n# [{' '.join(names)}]\n" + "".join(block.text for block in together[names])


def tried(uv: Path, work: Path, python: str, machine: str) -> bool:
    """Whether every package of every extra but the sdists has a wheel there (rule 4); nothing is installed."""
    wanted = [entry.text for entry in locked() if entry.sections - set(SDISTS) - {"device"}]
    (work / "try.txt").write_text("".join(wanted), encoding="utf-8")
    command = [str(uv), "pip", "install", "--quiet", "--config-file", str(work / "uv.toml"), "--dry-run"]
    command += ["--target", str(work / "nowhere"), "--python-version", python]
    command += ["--python-platform", f"{machine}-{GLIBC}", "--only-binary", ":all:", "--require-hashes"]
    command += ["-r", str(work / "try.txt")]
    done = subprocess.run(command, env=environment(), stdin=subprocess.DEVNULL, stdout=2, check=False)
    print(f"lock: Python {python} on {machine}: {'ok' if done.returncode == 0 else 'FAILED'}", file=sys.stderr)
    return done.returncode == 0


def breaches(text: str, project: dict[str, Any]) -> Iterator[str]:
    """One line for each thing that is wrong with a lock (rule 5)."""
    yield from foreign(text)
    try:
        entries = locked(text)
    except BadLock as fault:
        yield str(fault)
        return
    yield from (f"{LOCK.name}: {entry.name} {entry.version} has no hash" for entry in entries if not entry.sha256)
    requirements = project["dependency-groups"]["build"]
    if project["build-system"]["requires"] != requirements:
        yield f"pyproject.toml: build-system.requires and the dependency group `build` differ: {requirements}"
    for section, wanted in sorted(wishes(project).items()):
        for requirement in wanted:
            for place in places():
                yield from unmet(requirement, section, place, entries)


def foreign(text: str) -> Iterator[str]:
    """Lines that name a host; what is neither a version, a hash nor a comment is refused by `locked` already."""
    for number, line in enumerate(text.splitlines(), 1):
        if FOREIGN.search(line):
            yield f"{LOCK.name}:{number}: {line.strip()!r} names a host"


def wishes(project: dict[str, Any]) -> dict[str, list[Requirement]]:
    """Section to the requirements that pyproject.toml states for it; extras that name extras are resolved."""
    extras = project["project"]["optional-dependencies"]
    stated = {BASE: project["project"]["dependencies"], **extras, **project["dependency-groups"]}
    own = canonicalize_name(project["project"]["name"])

    def all_of(section: str) -> Iterator[Requirement]:
        for requirement in map(Requirement, stated[section]):
            if canonicalize_name(requirement.name) != own:
                yield requirement
            for extra in requirement.extras if canonicalize_name(requirement.name) == own else ():
                yield from all_of(extra)

    return {section: list(all_of(section)) for section in stated}


def places() -> Iterator[dict[str, str]]:
    """Marker environments of every supported Python and processor, on Linux."""
    for python in PYTHONS:
        for machine in MACHINES:
            yield {
                "python_version": python,
                "python_full_version": f"{python}.4",
                "platform_machine": machine,
                "sys_platform": "linux",
                "platform_system": "Linux",
                "os_name": "posix",
                "implementation_name": "cpython",
                "platform_python_implementation": "CPython",
                "extra": "",
            }


def unmet(requirement: Requirement, section: str, place: dict[str, str], entries: Sequence[Locked]) -> Iterator[str]:
    """A line when a requirement has no single locked version in one place that satisfies it."""
    if requirement.marker is not None and not requirement.marker.evaluate(place):
        return
    name = canonicalize_name(requirement.name)
    here = [
        entry
        for entry in entries
        if canonicalize_name(entry.name) == name
        and entry.sections & {section, BASE}
        and (not entry.marker or Marker(entry.marker).evaluate(place))
    ]
    versions = " and ".join(entry.version for entry in here) or "no version"
    if len(here) != 1 or not requirement.specifier.contains(here[0].version, prereleases=True):
        where = f"Python {place['python_version']} on {place['platform_machine']}"
        yield f"{LOCK.name}: [{section}] {requirement}: {versions} for {where}; run `make lock`"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
