"""Virtual time for parts of the supervisor: the simulation's loop, without the whole device."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import pytest

from device.edges.clock.fake import FakeClock
from tests.sim.virtual_loop import VirtualLoop

Result = TypeVar("Result")


def _play(clock: FakeClock, scene: Coroutine[Any, Any, Result]) -> Result:
    loop = VirtualLoop(clock)
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
