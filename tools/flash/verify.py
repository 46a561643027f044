"""What `lfr flash verify` looks at, as rows of a table: every file, the environment, units, configuration, identity.

1. Files, links, folders and accounts are the plan's steps: their `check` is asked again.
2. The environment: every file that a wheel's RECORD lists is there with its hash; the interpreter that it links to is
   the root's own.
3. Imports need the root's own Python. On the board, and on a workstation of the same processor, as root (chroot(1)),
   they are tried; elsewhere the row says that they are to be tried on the board. In the chroot they see this machine's
   /proc and /sys, in a mount namespace of their own: without them onnxruntime 1.23 (Python 3.10) ends by SIGABRT.
4. The configuration is read as `lfr config check` reads it, with the root's files; a key and a certificate that first
   boot and the hub make later are `pending`.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import os
import platform
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from device.config.loader import load_config
from device.errors import ConfigError
from tools.flash.exchange import AUTHORITY
from tools.flash.first_boot import CERTIFICATE, KEY
from tools.flash.plan import CURRENT, Plan
from tools.flash.root import Root
from tools.flash.steps import Environment, File, Folder, Link
from tools.flash.wheelhouse import site_packages

Level = Literal["ok", "fail", "pending"]
IMPORTS = ("numpy", "cv2", "av", "onnxruntime", "msgspec", "pydantic", "cryptography", "tuf", "pyrage", "paho.mqtt")
IMPORTS_ON_BOARD = (*IMPORTS, "systemd.daemon", "gpiozero", "lgpio", "device.supervisor.main", "device.worker.main")
WITHIN_S = 300
WITH_PROC = 'for one in proc sys; do mount --rbind "/$one" "$0/$one"; done; exec chroot "$0" "$@"'


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table."""

    what: str
    level: Level
    text: str


def rows(plan: Plan, root: Root) -> Iterator[Row]:
    """The whole table, row by row."""
    for kind, title in ((File, "files"), (Folder, "folders"), (Link, "links")):
        yield _together(plan, root, kind, title)
    for step in plan.steps:
        if not isinstance(step, File | Folder | Link):
            good = step.check(root)
            yield Row(step.name, "ok" if good else "fail", step.line if good else "not as planned: apply it again")
    environments = [step for step in plan.steps if isinstance(step, Environment)]
    for environment in environments:
        yield _record(root, environment)
        yield _imports(root, environment)
    yield _configuration(root)
    for name, place in (("key", KEY), ("certificate", CERTIFICATE)):
        there = root.exists(place)
        yield Row(name, "ok" if there else "pending", place if there else f"{place}: made by first boot and the hub")


def _together(plan: Plan, root: Root, kind: type, title: str) -> Row:
    """All steps of a kind in one row; a wrong one is named."""
    steps = [step for step in plan.steps if isinstance(step, kind)]
    wrong = [step.name for step in steps if not step.check(root)]
    if wrong:
        more = f" and {len(wrong) - 5} more" if len(wrong) > 5 else ""
        return Row(title, "fail", f"{', '.join(wrong[:5])}{more}: missing, altered, or another mode or owner")
    return Row(title, "ok", f"{len(steps)} as planned: content, mode, owner")


def _record(root: Root, environment: Environment) -> Row:
    """Rule 2."""
    site = root.resolve(f"{environment.place}/{site_packages(environment.target)}")
    python = root.resolve(f"{environment.place}/bin/python")
    if not python.is_file():
        return Row("packages", "fail", f"{environment.place}/bin/python leads to {python}, which is not there")
    checked, wrong = 0, []
    for record in sorted(site.glob("*.dist-info/RECORD")):
        with record.open(encoding="utf-8", newline="") as file:
            for name, digest, _ in csv.reader(file):
                if not digest or name.startswith(("..", "bin/")) or name.endswith(".pyc"):
                    continue
                checked += 1
                if _hash(site / name) != digest:
                    wrong.append(name)
    if wrong or not checked:
        return Row("packages", "fail", f"{', '.join(wrong[:5]) or 'nothing'} of {len(wrong)} files missing or altered")
    return Row("packages", "ok", f"{checked} files as their wheels list them")


def _hash(path: Path) -> str:
    try:
        digest = hashlib.sha256(path.read_bytes()).digest()
    except OSError:
        return ""
    return "sha256=" + base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def _imports(root: Root, environment: Environment) -> Row:
    """Rule 3."""
    here = root.path == Path("/")
    if not here and (os.geteuid() != 0 or platform.machine() != environment.target.machine):
        return Row("imports", "pending", "another processor, or not root: `lfr flash verify --root /` on the board")
    inside = [] if here else inside_root(root.path)
    names = IMPORTS_ON_BOARD if here else IMPORTS
    command = [*inside, f"{CURRENT}/bin/python", "-I", "-B", "-c", "import " + ", ".join(names)]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=WITHIN_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as fault:
        return Row("imports", "fail", f"the root's Python could not be run: {fault}")
    if done.returncode != 0:
        return Row("imports", "fail", (done.stderr.strip().splitlines() or [str(done.returncode)])[-1])
    return Row("imports", "ok", ", ".join(names))


def inside_root(root: Path) -> list[str]:
    """The words before a command that is to run in a root that is not booted (rule 3); unmounted when it ends."""
    apart = ["unshare", "--mount"]
    try:
        may = (
            subprocess.run([*apart, "true"], stdin=subprocess.DEVNULL, capture_output=True, check=False).returncode == 0
        )
    except OSError:
        may = False
    return [*apart, "sh", "-c", WITH_PROC, str(root)] if may else ["chroot", str(root)]


def _configuration(root: Root) -> Row:
    """Rule 4."""
    try:
        config = load_config(root.resolve("/etc/lfr/device.yaml"))
    except ConfigError as fault:
        return Row("configuration", "fail", "; ".join(fault.problems))
    credentials = [camera.credential for camera in config.cameras if camera.credential is not None]
    missing = [str(path) for path in credentials if not path.is_file()]
    if missing or not root.exists(AUTHORITY):
        return Row("configuration", "fail", f"missing: {', '.join(missing) or AUTHORITY}")
    return Row("configuration", "ok", f"{config.device} of {config.site}, {len(config.cameras)} camera(s)")
