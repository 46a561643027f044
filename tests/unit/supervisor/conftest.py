"""Virtual time for parts of the supervisor: the simulation's loop, without the whole device."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import pytest
from lfr_test_loading import loaded

from device.edges.clock.fake import FakeClock

Result = TypeVar("Result")
HERE = Path(__file__).parent


loaded("lfr_test_sign_bench", HERE / "sign_bench.py")


def _play(clock: FakeClock, scene: Coroutine[Any, Any, Result]) -> Result:
    loop = loaded("lfr_test_virtual_loop", HERE.parents[1] / "sim" / "virtual_loop.py").VirtualLoop(clock)
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
