"""Stages of `make check`, `make test` and `make system`: as data, in the order they run."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
BIN = Path(sys.executable).parent


@dataclass(frozen=True, slots=True)
class Stage:
    """One command of the gate.

    argv    run in the repository root; exit 0 is success
    remedy  what to do when it fails
    tests   pytest runs it: its counts are added up and its output is shown while it runs
    hardware  skips are allowed, because it looks for something that a desk has not
    installable  of that, everything can be installed on any Debian: skips fail a complete run (`--complete`)
    timed   real processes, machines and browsers on a real clock: in a complete run what fails is tried once more
    """

    name: str
    argv: tuple[str, ...]
    remedy: str
    tests: bool = False
    hardware: bool = False
    installable: bool = False
    timed: bool = False


def tool(name: str, *arguments: str) -> tuple[str, ...]:
    """A command of the virtual environment that runs the gate."""
    return (str(BIN / name), *arguments)


def module(name: str, *arguments: str) -> tuple[str, ...]:
    """A module of this repository, under the same Python."""
    return (sys.executable, "-m", name, *arguments)


def pytest(*arguments: str) -> tuple[str, ...]:
    """The test runner with the slowest tests named, so that a slow new one is noticed."""
    return module("pytest", "--durations=5", "--durations-min=5", *arguments)


FORMAT = Stage("format", tool("ruff", "format", "--check", "--diff", "."), "run `.venv/bin/ruff format .`")
LINT = Stage("lint", tool("ruff", "check", "."), "run `.venv/bin/ruff check --fix .` and fix the rest by hand")
TYPES = Stage("types", tool("mypy"), "fix the types; `.venv/bin/mypy FOLDER` is quicker for one folder")
FLOORS = Stage("floors", tool("lint-imports"), "import downward only; the floors are drawn in pyproject.toml")
HOUSE = Stage("house rules", module("tools.dev.gate.house"), "each line above names the place and the rule")
LOCKED = Stage(
    "lock", module("tools.dev.gate.lock", "check"), "each line above names a requirement; `make lock` renews"
)
UNIT_FILES = Stage("unit files", module("tools.dev.gate.unit_files"), "fix the files in systemd/")


def several(*arguments: str) -> tuple[str, ...]:
    """As `pytest`, a file at a time on up to four processors; for tests that tolerate a busy machine."""
    return pytest("--numprocesses=auto", "--maxprocesses=4", "--dist=loadfile", *arguments)


READ_TESTS = "read the first failure above; `make test ARGS='-k NAME'` runs one test"
FOLDERS = ("tests/unit", "tests/contract", "tests/sim")
FAST = Stage("unit, contract, sim", several("-m", "not slow and not long", *FOLDERS), READ_TESTS, tests=True)
SLOW = Stage("the slow of unit, contract, sim", several("-m", "slow and not long", *FOLDERS), READ_TESTS, tests=True)
REPLAY = Stage("replay", several("-m", "not long", "tests/replay"), READ_TESTS, tests=True)
E2E = Stage("end to end", pytest("-m", "not long", "tests/e2e"), READ_TESTS, tests=True, timed=True)
LONG = Stage(
    "the long of all folders",
    pytest("-m", "long", *FOLDERS, "tests/replay", "tests/e2e"),
    READ_TESTS,
    tests=True,
    timed=True,
)
APIS = Stage(
    "device's interfaces", module("tools.dev.gate.device_apis"), "NVIDIA's bindings or PyCUDA could not be had (above)"
)
DEVICE_APIS = Stage("TensorRT and CUDA, emulated", several("tests/device_apis"), READ_TESTS, tests=True)


def elsewhere(name: str, *arguments: str, installable: bool = True) -> Stage:
    """A stage that needs more than a desk has."""
    return Stage(name, pytest(*arguments), READ_TESTS, tests=True, hardware=True, installable=installable, timed=True)


ARM64_TESTS = "tests/system/test_flash_arm64.py"
SYSTEM = elsewhere("system", "tests/system", "--ignore=tests/system/chip", f"--ignore={ARM64_TESTS}")
ARM64 = elsewhere("arm64, emulated", ARM64_TESTS)
CHIP = elsewhere("GPIO chip", "tests/system/chip")
BROWSER = elsewhere("browser", "tests/browser")
GPU = elsewhere("gpu", "-s", "tests/gpu", installable=False)

STATIC = (FORMAT, LINT, TYPES, FLOORS, HOUSE, LOCKED, UNIT_FILES)
COMMANDS: dict[str, tuple[Stage, ...]] = {
    "check": (*STATIC, FAST),
    "test": (*STATIC, FAST, SLOW, REPLAY, E2E),
    "system": (APIS, DEVICE_APIS, LONG, SYSTEM, CHIP, BROWSER, GPU),
    "device_apis": (APIS, DEVICE_APIS),
    "services": (SYSTEM, BROWSER, GPU),
    "chip": (CHIP,),
    "arm64": (ARM64,),
}


def planned(commands: list[str]) -> list[Stage]:
    """The stages of some commands, each once: static ones first, then tests, in the order of the tables."""
    stages = list(dict.fromkeys(stage for command in commands for stage in COMMANDS[command]))
    return [s for s in stages if not s.tests] + [s for s in stages if s.tests]
