"""The GPU's lines of `lfr doctor`: CUDA, TensorRT, PyCUDA, jetson_utils, and the plans that were built here.

CUDA and TensorRT are asked in a process of their own: without its driver, NVIDIA's library can end it by a signal.
On a desk their absence is normal; on a Jetson it is a warning, and the device would run on its CPU.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata, util
from pathlib import Path
from typing import Any, Literal

from device.cli.doctor.finding import Finding
from device.domain.symptoms.names import Program
from device.domain.symptoms.table import remedy

Level = Literal["ok", "warn"]
TRIAL_S = 30.0
TRIAL = """
import json
from engines.errors import EnginesError
found = {}
try:
    from engines.tensorrt.cuda import Gpu
    gpu = Gpu()
    gpu.close()
    found = {"name": gpu.facts.name, "capability": gpu.facts.capability, "bytes": gpu.facts.total_bytes}
    from engines.tensorrt.api import bindings, version
    found["tensorrt"] = version(bindings())
except EnginesError as fault:
    found["fault"] = str(fault)
print(json.dumps(found))
"""


@dataclass(frozen=True, slots=True)
class Here:
    """The trial's results; None for steps that it did not reach."""

    gpu: str | None = None
    capability: str | None = None
    total_bytes: int = 0
    tensorrt: str | None = None
    fault: str = ""


def gpu(board: Path = Path("/proc/device-tree/compatible")) -> Iterator[Finding]:
    """All lines."""

    absent: Level = "warn" if board.exists() else "ok"
    for module, symptom in (("tensorrt", Program.TENSORRT), ("pycuda", Program.PYCUDA)):
        if util.find_spec(module) is None:
            text = "absent" if board.exists() else "absent; needed on a board only"
            yield Finding(module, absent, text, remedy(symptom))
        else:
            yield Finding(module, "ok", _version(module))
    here = _here()
    if here is None:
        yield Finding("cuda", absent, "not checked: it needs PyCUDA", remedy(Program.PYCUDA))
    elif here.gpu is None:
        yield Finding("cuda", absent, here.fault, remedy(Program.CUDA))
    else:
        megabytes = here.total_bytes // 10**6
        yield Finding("cuda", "ok", f"{here.gpu}, compute capability {here.capability}, {megabytes} MB")
        if here.tensorrt is None:
            yield Finding("tensorrt on this gpu", "warn", here.fault, remedy(Program.TENSORRT))
        else:
            yield Finding("tensorrt on this gpu", "ok", here.tensorrt)
    yield from plans(here, absent)
    yield _jetson_utils(absent)


def plans(here: Here | None, absent: Level) -> Iterator[Finding]:
    """One line a plan: whether it would be loaded here, and otherwise why not. Broken descriptions are named too."""
    from engines.cards.catalogue import card
    from engines.errors import EnginesError
    from engines.manifest import read, sha256_of
    from engines.places import models_dir, plans_dir
    from engines.tensorrt.plans import command_for, described

    files = sorted(plans_dir().glob("*.json"))
    if not files:
        yield Finding("plans", absent, f"none in {plans_dir()}", remedy(Program.NO_PLANS))
    for file in files:
        try:
            plan = described(file)
            key, now = plan.key, read(models_dir()).get(plan.key.card, {}).get(plan.key.precision)
            again = command_for(card(key.card), key)
        except EnginesError as fault:
            yield Finding(f"plan {file.stem}", "warn", str(fault), remedy(Program.PLAN_UNREADABLE))
            continue
        wrong = []
        if here is None or here.gpu is None or here.tensorrt is None:
            wrong.append("there is no GPU with TensorRT to run it on")
        elif (key.gpu, key.capability, key.tensorrt) != (here.gpu, here.capability, here.tensorrt):
            wrong.append(f"built for {key.gpu} ({key.capability}) and TensorRT {key.tensorrt}")
        if now is None or now.sha256 != key.model_sha256:
            wrong.append("its prepared model has changed")
        content = file.with_suffix(".plan")
        if not content.is_file() or sha256_of(content) != plan.sha256:
            wrong.append("its file is missing, damaged or changed")
        good = f"batch {key.profile.least} to {key.profile.most}, {plan.device_bytes / 1e6:.1f} MB a context"
        how = remedy(Program.PLAN, command=again)
        yield Finding(f"plan {file.stem}", "warn" if wrong else "ok", "; ".join(wrong) or good, how)


def _here() -> Here | None:
    """None without PyCUDA; otherwise what a process of its own found, or how it ended."""
    if util.find_spec("pycuda") is None:
        return None
    try:
        done = subprocess.run([sys.executable, "-I", "-c", TRIAL], capture_output=True, timeout=TRIAL_S, check=False)
        found: dict[str, Any] = json.loads(done.stdout)
    except subprocess.TimeoutExpired:
        return Here(fault=f"no answer within {TRIAL_S:.0f} s")
    except ValueError:
        return Here(
            fault=f"asking it ended with status {done.returncode}: {done.stderr.decode(errors='replace')[-200:]}"
        )
    return Here(
        found.get("name"), found.get("capability"), found.get("bytes", 0), found.get("tensorrt"), found.get("fault", "")
    )


def _version(module: str) -> str:
    try:
        return metadata.version(module)
    except metadata.PackageNotFoundError:
        return "present"


def _jetson_utils(absent: Level) -> Finding:
    """Whether it is the real PyCUDA, with its C extension; a public index has another package of that name."""
    how = remedy(Program.JETSON_UTILS)
    if util.find_spec("jetson_utils") is None:
        return Finding("jetson_utils", absent, "absent", how)
    try:
        import jetson_utils
    except (ImportError, OSError) as fault:
        return Finding("jetson_utils", "warn", f"cannot be imported: {fault}", how)
    real = bool(getattr(jetson_utils, "HAS_JETSON_UTILS_EXT", False))
    return Finding("jetson_utils", "ok" if real else "warn", "present" if real else "without its C extension", how)
