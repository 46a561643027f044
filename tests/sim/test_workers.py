"""One worker a camera: crashes, silence, budgets, dark cameras. The whole supervisor on fakes and virtual time."""

from __future__ import annotations

import asyncio
from typing import Any

from device.alerts import messages
from device.supervisor.keeper import Budget
from device.supervisor.states import State


def test_a_crashed_worker_is_restarted_within_its_budget(rig: Any) -> None:
    async def scene(r: Any) -> None:
        await r.recognising()
        r.worker.crash()
        await r.until(lambda: r.state is State.INHIBITED, 1.0)
        assert "signal 11" in r.reasons
        await r.recognising()
        assert len(r.launcher.workers) == 2

    rig().play(scene)


def test_an_exhausted_restart_budget_inhibits_with_its_reason(rig: Any) -> None:
    async def scene(r: Any) -> None:
        await r.recognising()
        r.launcher.script.crash_at_start = True
        r.worker.crash()
        await r.until(lambda: "restart budget exhausted" in r.reasons)
        await asyncio.sleep(0.5)
        assert r.state is State.INHIBITED
        assert r.hub.last(messages.CameraStatus).status == "disabled"
        r.launcher.script.crash_at_start = False
        await r.until(lambda: r.state is State.RECOGNISING)

    rig(budget=Budget(restarts=2, cool_off_s=20.0)).play(scene)


def test_one_bad_camera_never_stops_another(rig: Any) -> None:
    async def scene(r: Any) -> None:
        await r.recognising()
        await r.until(lambda: len(r.launcher.workers) == 2)
        good = r.launcher.of("front")
        r.launcher.of("rear").crash()
        await asyncio.sleep(3)
        assert good.running
        assert r.state is State.RECOGNISING
        assert r.launcher.of("rear").running

    rig(cameras=("front", "rear")).play(scene)


def test_a_dark_camera_inhibits_and_its_worker_stays_to_see_it_return(rig: Any) -> None:
    async def scene(r: Any) -> None:
        await r.recognising()
        r.worker.view = "dark"
        assert await r.until(lambda: r.state is State.INHIBITED) < 1.0
        assert r.worker.running
        assert r.lines.sign_driven
        r.worker.view = "online"
        await r.recognising()
        assert len(r.launcher.workers) == 1

    rig().play(scene)


def test_a_live_source_that_ends_is_a_failure_and_not_the_end(rig: Any) -> None:
    async def scene(r: Any) -> None:
        r.clock.is_synchronised = True
        await r.recognising()
        r.worker.finish("gone")
        await r.until(lambda: r.state is State.INHIBITED, 1.0)
        assert "the source ended" in r.reasons
        await r.recognising()

    rig(live=True).play(scene)
