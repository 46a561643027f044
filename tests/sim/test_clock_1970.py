"""An Orin without an RTC battery: some 14 s after boot the clock is thrown back to 1970, until a time service sets it.

The device stops recognising, erases on time by monotonic time, and goes on when the clock is right again.
"""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta, timezone

import pytest

from device.domain.time import wall
from device.supervisor.state_machine import State
from tests.sim.rig import MakeRig, Rig

pytestmark = pytest.mark.slow

EPOCH = datetime(1970, 1, 1, 0, 0, 12, tzinfo=timezone.utc)
each_kernel = pytest.mark.parametrize(
    "synchronised", [False, True], ids=["unsynchronised", "still called synchronised"]
)


def throw_back(r: Rig, synchronised: bool) -> timedelta:
    """The clock shows 1970; by how much it is wrong."""
    wrong_by = r.clock.wall() - wall(EPOCH)
    r.clock.set_wall(EPOCH)
    r.clock.is_synchronised = synchronised
    return wrong_by


def set_right(r: Rig, wrong_by: timedelta) -> None:
    r.clock.set_wall(r.clock.wall() + wrong_by)
    r.clock.is_synchronised = True


@each_kernel
def test_it_stops_at_once_and_goes_on_when_the_clock_is_right(rig: MakeRig, synchronised: bool) -> None:
    async def scene(r: Rig) -> float:
        await r.recognising()
        await asyncio.sleep(14)
        wrong_by = throw_back(r, synchronised)
        took = await r.until(lambda: not r.worker.running)
        assert r.state is State.INHIBITED
        assert "clock" in r.reasons
        await asyncio.sleep(60)
        assert r.is_in(State.INHIBITED)
        set_right(r, wrong_by)
        await r.recognising()
        r.worker.raise_candidate(1)
        await r.until(lambda: len(r.hub.alerts()) == 1)
        return took

    assert rig(live=True).play(scene) <= 1.0


@each_kernel
def test_it_erases_on_time_though_the_clock_stays_in_1970(rig: MakeRig, synchronised: bool) -> None:
    async def scene(r: Rig) -> float:
        await r.recognising()
        await asyncio.sleep(14)
        throw_back(r, synchronised)
        begun = r.loop.time()
        await r.until(lambda: r.state is State.ENDING, within_s=130)
        await r.until(lambda: not (r.place / "watchlist.age").exists())
        return r.loop.time() - begun

    assert 90 < rig(live=True, window_s=120).play(scene) + 14 < 120


@each_kernel
def test_a_device_that_boots_into_1970_arms_only_when_the_clock_is_right(rig: MakeRig, synchronised: bool) -> None:
    async def scene(r: Rig) -> None:
        wrong_by = throw_back(r, synchronised)
        await asyncio.sleep(60)
        assert r.launcher.workers == []
        assert r.state is State.READY
        set_right(r, wrong_by)
        await r.recognising()

    rig(live=True).play(scene)


def test_alerts_that_wait_outlive_1970_and_are_delivered(rig: MakeRig) -> None:
    async def scene(r: Rig) -> None:
        await r.recognising()
        r.hub.broker.close()
        r.worker.raise_candidate(1)
        await asyncio.sleep(2)
        wrong_by = throw_back(r, synchronised=False)
        await asyncio.sleep(30)
        set_right(r, wrong_by)
        await asyncio.sleep(5)
        assert len(r.outbox.alerts_held()) == 1

    rig(live=True, alert_hours=24).play(scene)
