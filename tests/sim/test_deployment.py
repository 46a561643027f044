"""Which deployment may be used, where and when. The whole supervisor on fakes and virtual time."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

from device.supervisor.state_machine import State
from tests.sim.rig import MakeRig, Rig


def test_a_live_camera_needs_a_synchronised_clock_and_a_recording_does_not(rig: MakeRig) -> None:
    async def scene(r: Rig) -> None:
        r.clock.is_synchronised = False
        await asyncio.sleep(5)
        assert "the clock is not synchronised" in r.reasons
        assert r.state is State.READY
        r.clock.is_synchronised = True
        await r.recognising()

    rig(live=True).play(scene)


def test_a_demonstration_in_front_of_a_live_camera_holds_ten_subjects_at_most(rig: MakeRig) -> None:
    async def scene(r: Rig) -> None:
        r.launcher.script.watchlist = {"subjects": 11}
        await r.until(lambda: "authorised size" in r.reasons)
        await r.until(lambda: not r.worker.running, 1.0)

    rig(live=True).play(scene)


def test_another_watchlist_than_the_authorised_one_is_refused_for_good(rig: MakeRig) -> None:
    async def scene(r: Rig) -> None:
        r.launcher.script.watchlist = {"sha256": "f" * 64}
        await r.until(lambda: r.state is State.INHIBITED)
        await asyncio.sleep(30)
        assert len(r.launcher.workers) == 1
        assert "is not the one the deployment authorises" in r.reasons

    rig().play(scene)


def test_a_deployment_for_another_device_is_not_armed(rig: MakeRig) -> None:
    async def scene(r: Rig) -> None:
        await asyncio.sleep(5)
        assert r.state is State.READY
        assert "does not name this device" in r.reasons

    rig(device="cam-2").play(scene)


def test_the_end_of_the_window_ends_the_deployment(rig: MakeRig) -> None:
    async def scene(r: Rig) -> Any:
        await r.recognising()
        return await r.outcome()

    r = rig(window_s=60)
    outcome = r.play(scene)
    assert outcome.exit_status == 0
    assert not (r.place / "watchlist.age").exists()
    assert r.worker.stopped is not None


def test_a_window_that_ends_before_anybody_looked_is_a_refusal(rig: MakeRig) -> None:
    async def scene(r: Rig) -> Any:
        return await r.outcome()

    r = rig(window_s=30, operator=False)
    assert r.play(scene).exit_status == 77
    assert r.launcher.workers == []


def test_a_deployment_that_was_over_before_it_was_found_is_not_taken_up(rig: MakeRig) -> None:
    async def scene(r: Rig) -> None:
        await asyncio.sleep(10)
        assert r.state is State.READY
        assert "was over" in r.reasons

    r = rig(window_s=-60)
    r.play(scene)
    assert (r.launcher.workers, r.repository.taken) == ([], [])


def test_a_deployment_that_appears_later_is_taken_up(rig: MakeRig) -> None:
    async def scene(r: Rig) -> None:
        r.repository.offers = False
        await asyncio.sleep(10)
        assert r.state is State.READY
        assert "nothing is published for this device" in r.reasons
        r.repository.offers = True
        await r.recognising()

    rig().play(scene)


def test_a_clock_that_is_set_back_does_not_prolong_the_deployment(rig: MakeRig) -> None:
    async def scene(r: Rig) -> Any:
        await r.recognising()
        begin = r.loop.time()
        r.clock.set_wall(r.clock.wall() - timedelta(minutes=30))
        outcome = await r.outcome()
        assert r.loop.time() - begin < 62
        return outcome

    r = rig(window_s=60)
    assert r.play(scene).exit_status == 0
    assert not (r.place / "watchlist.age").exists()


def test_a_jump_forward_ends_a_live_deployment_only_while_the_clock_is_synchronised(rig: MakeRig) -> None:
    async def scene(r: Rig) -> Any:
        await r.recognising()
        r.clock.is_synchronised = False
        r.clock.set_wall(r.clock.wall() + timedelta(hours=2))
        await asyncio.sleep(5)
        assert r.state is State.INHIBITED
        assert (r.place / "watchlist.age").exists()
        r.clock.is_synchronised = True
        return await r.outcome()

    r = rig(live=True)
    assert r.play(scene).exit_status == 0
    assert not (r.place / "watchlist.age").exists()
