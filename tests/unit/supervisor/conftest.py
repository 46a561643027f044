"""Virtual time for parts of the supervisor: the simulation's loop, without the whole device."""

from __future__ import annotations

import asyncio
import importlib.util
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import pytest

from device.edges.clock_fake import FakeClock

Result = TypeVar("Result")
HERE = Path(__file__).parent


def _module(name: str, file: Path) -> Any:
    """A module of the tests, imported as lfr_test_<name>; pytest's importlib mode has no package to import from."""
    name = f"lfr_test_{name}"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, file)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
    return sys.modules[name]


_module("sign_bench", HERE / "sign_bench.py")


def _play(clock: FakeClock, scene: Coroutine[Any, Any, Result]) -> Result:
    loop = _module("virtual_loop", HERE.parents[1] / "sim" / "virtual_loop.py").VirtualLoop(clock)
    asyncio.set_event_loop(loop)
    try:
        result: Result = loop.run_until_complete(scene)
        return result
    finally:
        loop.close()
        asyncio.set_event_loop(None)


@pytest.fixture(scope="session")
def play() -> Callable[[FakeClock, Coroutine[Any, Any, Any]], Any]:
    """`play(clock, scene)`: runs a scene on the clock's own virtual time."""
    return _play
