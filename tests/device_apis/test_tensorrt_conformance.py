"""NVIDIA's real bindings, oldest and newest of the supported range, asked for every name that this project uses.

Their libraries are stubs: nothing can be built or run by them. What is checked is that names, members, enumerations and
argument names are as the code and the emulator have them, so that what the emulator accepts, the bindings accept.
"""

from __future__ import annotations

import ast
import ctypes
import inspect
import json
import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from engines.tensorrt.api import NEWEST, OLDEST, USED
from tests.device_apis.emulated_tensorrt import Behaviour, make
from tools.dev.gate.device_apis import BINDINGS, bindings_dir

ENGINES = Path(__file__).resolve().parents[2] / "engines"
USERS = ("plan_build.py", "tensorrt/engine.py", "tensorrt/api.py", "tensorrt/runner.py")
ASK = """
import json, sys, warnings
warnings.simplefilter("ignore")
import tensorrt_bindings as trt
found = {"__version__": trt.__version__, "STRONGLY_TYPED": int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)}
for name, members in json.load(sys.stdin).items():
    owner = getattr(trt, name, None)
    found[name] = {m: (getattr(getattr(owner, m), "__doc__", None) or "") for m in members if hasattr(owner, m)}
print(json.dumps(found))
"""
INHERITED = set(dir(int))
VERSIONS = [one.version for one in BINDINGS]


@cache
def asked(version: str) -> dict[str, Any]:
    """What the real module of a version says of every used name: its members' docstrings, which hold signatures."""
    folder = bindings_dir(version)
    if not (folder / "ready").exists():
        pytest.fail("run `.venv/bin/python -m tools.dev.gate.device_apis`: the bindings are not there")
    environment = {**os.environ, "LD_LIBRARY_PATH": str(folder / "lib"), "PYTHONPATH": str(folder)}
    done = subprocess.run(
        [sys.executable, "-c", ASK],
        input=json.dumps({n: list(m) for n, m in USED.items()}),
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


@pytest.mark.parametrize("version", VERSIONS)
def test_every_name_that_is_used_is_in_the_real_bindings(version: str) -> None:
    found = asked(version)
    assert found["__version__"] == version
    missing = {name: set(members) - set(found[name]) for name, members in USED.items()}
    assert not {name: gone for name, gone in missing.items() if gone}


def test_both_ends_of_the_supported_range_are_asked() -> None:
    ends = [tuple(int(part) for part in version.split(".")[:2]) for version in VERSIONS]
    assert (ends[0], ends[-1]) == (OLDEST, NEWEST)


def test_the_flag_of_strongly_typed_networks_is_a_bit_and_the_emulators_is_the_oldest_versions(
    libcuda: ctypes.CDLL,
) -> None:
    bits = {version: asked(version)["STRONGLY_TYPED"] for version in VERSIONS}
    assert all(0 <= bit < 32 for bit in bits.values())
    emulated = make(Behaviour(), libcuda)
    assert bits[VERSIONS[0]] == int(emulated.NetworkDefinitionCreationFlag.STRONGLY_TYPED)


def test_the_emulator_has_exactly_the_used_surface(libcuda: ctypes.CDLL) -> None:
    emulated = make(Behaviour(), libcuda)
    public = {name for name in vars(emulated) if not name.startswith("_")}
    assert public == set(USED)
    for name, members in USED.items():
        owner = getattr(emulated, name)
        has = {m for m in dir(owner) if not m.startswith("_")} - INHERITED
        has |= {"progress_monitor"} if name == "IBuilderConfig" else set()
        assert has == set(members) - {"__init__"}, name


@pytest.mark.parametrize("version", VERSIONS)
def test_the_emulators_arguments_have_the_real_names_in_the_real_order(version: str, libcuda: ctypes.CDLL) -> None:
    emulated, compared = make(Behaviour(), libcuda), 0
    for name, members in USED.items():
        for member, document in asked(version)[name].items():
            ours = getattr(getattr(emulated, name), member, None)
            signature = re.match(
                rf"{member}\((self: [^,)]+)(?:, (.*))?\) -> ", document.splitlines()[0] if document else ""
            )
            if signature is None or not inspect.isfunction(ours):
                continue  # a property, an enumeration value, or an overloaded call whose document names no arguments
            real = re.findall(r"(?:^|, )(\w+): ", signature[2] or "")
            mine = [p for p in inspect.signature(ours).parameters if p != "self"]
            assert mine == real[: len(mine)], f"{name}.{member}"
            required = [p.name for p in inspect.signature(ours).parameters.values() if p.default is p.empty][1:]
            assert len(required) <= len(real), f"{name}.{member}"
            compared += 1
    assert compared >= 20


def test_the_code_uses_nothing_of_tensorrt_but_the_table() -> None:
    members = {m for names in USED.values() for m in names}
    used = set()
    for file in USERS:
        for node in ast.walk(ast.parse((ENGINES / file).read_text())):
            if isinstance(node, ast.Attribute) and ast.unparse(node).startswith("trt."):
                used |= set(ast.unparse(node).split(".")[1:])
    assert used
    assert used - {"__version__"} <= set(USED) | members


@pytest.mark.parametrize("member", ["EXPLICIT_BATCH", "int8_calibrator", "max_workspace_size", "num_bindings", "FP16"])
def test_nothing_that_tensorrt_11_removed_is_in_the_table(member: str) -> None:
    assert member not in {m for names in USED.values() for m in names}
