"""Waits that can be ended whatever else happens in the same turn of the loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from device.edges.broker.fake import FakeBroker, FakeExchange
from device.edges.clock.fake import FakeClock
from device.outbox.store import Outbox
from device.supervisor.alerts.outbox_publisher import OutboxPublisher
from device.supervisor.runtime.executor import DiskInline
from device.supervisor.runtime.timeouts import set_within, settle


async def _publisher(tmp_path: Path) -> tuple[Callable[[], Coroutine[Any, Any, None]], Callable[[], None]]:
    clock = FakeClock()
    outbox = Outbox(tmp_path / "outbox", clock.wall())
    publisher = OutboxPublisher(FakeBroker(FakeExchange(), "cam-1"), outbox, DiskInline(), clock, lambda gone: None)
    return publisher.run, lambda: publisher.set_hub_online(online=True)


def test_a_courier_that_is_woken_and_cancelled_in_one_turn_ends(tmp_path: Path) -> None:
    async def run() -> None:
        work, wake = await _publisher(tmp_path)
        task = asyncio.create_task(work())
        await asyncio.sleep(0.01)
        wake()
        await asyncio.sleep(0)
        task.cancel()
        done, _ = await asyncio.wait((task,), timeout=10.0)
        assert done
        assert task.cancelled()

    asyncio.run(asyncio.wait_for(run(), 30.0))


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
def test_no_cancellation_is_lost_however_close_the_event_is(turns: int) -> None:
    async def run() -> None:
        flag = asyncio.Event()

        async def for_ever() -> None:
            while True:
                await set_within(flag, 60.0)
                flag.clear()

        task = asyncio.create_task(for_ever())
        await asyncio.sleep(0.01)
        flag.set()
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait((task,), timeout=10.0)
        assert task.cancelled()

    asyncio.run(run())


def test_a_wait_ends_at_its_limit_and_returns_false() -> None:
    async def run() -> None:
        assert not await set_within(asyncio.Event(), 0.01)
        assert len(asyncio.all_tasks()) <= 2

    asyncio.run(run())


def test_settling_cancels_a_task_again_that_lost_its_first_cancellation() -> None:
    async def run() -> None:
        async def deaf_once() -> None:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                await asyncio.sleep(60)

        task = asyncio.create_task(deaf_once())
        await asyncio.sleep(0)
        assert await settle(task, within_s=5.0)
        assert task.cancelled()

    asyncio.run(run())


def test_settling_gives_up_on_a_task_that_ignores_cancellation(caplog: pytest.LogCaptureFixture) -> None:
    async def run() -> None:
        release = asyncio.Event()

        async def deaf() -> None:
            while not release.is_set():
                try:
                    await release.wait()
                except asyncio.CancelledError:
                    continue

        task = asyncio.create_task(deaf())
        await asyncio.sleep(0)
        assert not await settle(task, within_s=0.3)
        release.set()
        await task

    asyncio.run(run())
    assert "background.stuck" in caplog.text
