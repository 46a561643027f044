"""A page that is left open for a day: it is served all the time, nothing grows, and a session ends after its shift."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime, timezone
from pathlib import Path

import pytest

from device.edges.clock.fake import FakeClock
from tests.sample_alerts import an_alert
from tests.sim.virtual_loop import VirtualLoop
from tests.unit.hub.test_hub_references import Van
from tests.unit.hub.test_own_cases import say
from tools.hub.console import login
from tools.hub.storage.users import Users

HOUR_S = 3600.0
WORD = "correct horse battery"
GROWTH_BYTES = 200_000  # of a snapshot an hour kept by mistake there would be twice as much


def on_virtual_time(scene: Callable[[VirtualLoop], Awaitable[None]]) -> None:
    loop = VirtualLoop(FakeClock(datetime(2026, 11, 30, 6, 0, tzinfo=timezone.utc)))
    try:
        loop.run_until_complete(scene(loop))
    finally:
        loop.close()


async def until(loop: VirtualLoop, stream: AsyncIterator[bytes], at_s: float) -> int:
    """How many snapshots came until then."""
    count = 0
    while loop.time() < at_s:
        assert json.loads((await stream.__anext__()).removeprefix(b"data: "))["cases"][0]["id"] == "a-1"
        count += 1
    return count


@pytest.mark.long
def test_a_page_is_served_for_a_day_and_the_hub_keeps_nothing_for_it(tmp_path: Path) -> None:
    async def scene(loop: VirtualLoop) -> None:
        van = Van(tmp_path / "hub")
        say(van.desk, "cam-1", an_alert("a-1"))
        stream, began = van.console.stream(""), loop.time()
        await until(loop, stream, began + HOUR_S)
        tracemalloc.start()
        before, _ = tracemalloc.get_traced_memory()
        count = await until(loop, stream, began + 24 * HOUR_S)
        after, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert count > 23 * HOUR_S / 6, "one in six seconds at least"
        assert after - before < GROWTH_BYTES
        assert van.console.operator == "present"

    on_virtual_time(scene)


def test_the_page_of_somebody_who_went_home_ends_with_the_session(tmp_path: Path) -> None:
    async def scene(loop: VirtualLoop) -> None:
        van = Van(tmp_path / "hub")
        say(van.desk, "cam-1", an_alert("a-1"))
        Users(van.hub.root).put("op-7", "operator", WORD)
        van.console.sessions = login.Sessions(Users(van.hub.root), loop.time, van.console._note_session)
        key, began, served = "key", loop.time(), 0
        user = Users(van.hub.root).all()["op-7"]
        van.console.sessions._open[key] = login.Session("op-7", user.role, began, began, user.hash)
        async for _ in van.console.stream(key):
            served += 1
        assert login.IDLE_S <= loop.time() - began <= login.IDLE_S + 6, "idle: nobody touched it"
        assert served > login.IDLE_S / 6
        assert van.console.pages == 0, "nobody is present any more"

    on_virtual_time(scene)
