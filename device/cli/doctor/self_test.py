"""`lfr doctor --self-test`: what lfr-selftest.service runs, in the sandbox of the device's own service.

1. Every check of `lfr doctor`, the board's nodes where this is one, the configuration without the network, and each
   engine's answers against its golden tensors, in a process of its own: a GPU's driver may end it by a signal.
2. The hub may be away and the device may run meanwhile: no connection is tried, no GPIO line is claimed.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from device.cli.doctor import board, checks
from device.cli.doctor.finding import Finding
from device.domain.symptoms.names import Program
from device.domain.symptoms.table import remedy
from device.errors import ConfigError

if TYPE_CHECKING:
    from device.config.model import Vision

ENGINES_S = 240.0
ENGINES = """
import json, os, sys
out = os.dup(1)
from pathlib import Path
from device.enrolment.model_sessions import ModelSessions
from device.errors import LfrError
asked = json.loads(sys.argv[1])
found = {}
try:
    folder = asked.pop("models_dir")
    room = ModelSessions(asked.pop("backend"), threads=1, models=Path(folder) if folder else None, **asked)
    found = {"backend": room.backend, "wrong": room.self_test()}
    room.close()
except LfrError as fault:
    found["fault"] = str(fault)
os.write(out, json.dumps(found).encode())
"""


def self_test(config: Path) -> Iterator[Finding]:
    """Every finding (rules 1, 2)."""
    from device.config.loader import load_config
    from engines.select import JETSON

    for check in checks.CHECKS:
        yield from check()
    if JETSON.exists():
        yield from board.board()
    yield from checks.configuration(config, network=False)
    try:
        vision = load_config(config).vision
    except ConfigError:
        return  # reported above
    yield from engines(vision)


def engines(vision: Vision) -> Iterator[Finding]:
    """Whether the configured engines open here and agree with the golden tensors."""
    asked = {
        "backend": vision.backend,
        "models_dir": str(vision.models_dir) if vision.models_dir is not None else None,
        "detector": vision.detector,
        "recogniser": vision.recogniser,
        "screen": vision.screen,
    }
    how = remedy(Program.ENGINES)
    command = [sys.executable, "-I", "-c", ENGINES, json.dumps(asked)]
    try:
        done = subprocess.run(command, capture_output=True, timeout=ENGINES_S, check=False)
        found = json.loads(done.stdout)
    except subprocess.TimeoutExpired:
        yield Finding("engines", "fail", f"no answer within {ENGINES_S:.0f} s", how)
        return
    except ValueError:
        last = (done.stderr.decode(errors="replace").strip().splitlines() or ["no output"])[-1]
        yield Finding("engines", "fail", f"the trial ended with status {done.returncode}: {last}", how)
        return
    wrong = found.get("fault") or found["wrong"]
    text = wrong or f"{found['backend']}: every network agrees with its golden tensors"
    yield Finding("engines", "fail" if wrong else "ok", text, how)


def summary(findings: Sequence[Finding]) -> str:
    """One line for the service manager: the counts, and the first finding that is worst."""
    count = {level: sum(f.level == level for f in findings) for level in ("ok", "warn", "fail")}
    text = f"{count['ok']} ok, {count['warn']} warnings, {count['fail']} failed"
    worst = next((f for level in ("fail", "warn") for f in findings if f.level == level), None)
    return text if worst is None else f"{text}; first: {worst.name}: {worst.text} -> {worst.remedy}"
