"""No lit sign, no sight; no operator, no sight; STOP means stop. The whole supervisor on fakes and virtual time."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from device.supervisor.states import State


def test_nothing_recognises_before_the_sign_is_sensed_lit(rig: Any) -> None:
    async def scene(r: Any) -> None:
        r.lines.lamp_works = False
        await asyncio.sleep(10)
        assert r.state is State.READY
        assert r.launcher.workers == []
        assert "not seen dark and then lit" in r.reasons
        r.lines.lamp_works = True
        await r.recognising()
        assert r.lines.sign_sensed()

    rig().play(scene)


@pytest.mark.parametrize(("changes", "enough"), [({}, True), ({"live": True}, False), ({"mode": "operational"}, False)])
def test_a_simulated_operator_lets_no_live_or_operational_device_recognise(
    rig: Any, changes: dict[str, Any], enough: bool
) -> None:
    async def scene(r: Any) -> None:
        r.hub.operator(False, simulated=True)
        await asyncio.sleep(10)
        assert (r.state is State.RECOGNISING) is enough
        assert bool(r.launcher.workers) is enough
        r.hub.operator(True)
        await r.recognising()

    rig(operator=False, **changes).play(scene)


def test_a_sign_that_was_never_dark_proves_nothing(rig: Any) -> None:
    async def scene(r: Any) -> None:
        r.lines.stray_light = True
        await asyncio.sleep(10)
        assert r.state is State.READY
        assert not r.lines.sign_driven
        assert "sunlight" in r.reasons

    rig().play(scene)


def test_recognition_stops_within_a_second_of_a_dark_sign(rig: Any) -> None:
    async def scene(r: Any) -> None:
        await r.recognising()
        r.lines.lamp_works = False
        took = await r.until(lambda: not r.worker.running)
        assert took < 1.0
        assert r.state is State.INHIBITED
        r.lines.lamp_works = True
        await r.recognising()
        assert len(r.launcher.workers) == 2

    rig().play(scene)


def test_recognition_stops_within_a_second_even_when_the_worker_is_deaf(rig: Any) -> None:
    async def scene(r: Any) -> None:
        await r.recognising()
        r.launcher.script.deaf = True
        r.lines.lamp_works = False
        assert await r.until(lambda: not r.worker.running) < 1.0

    rig().play(scene)


def test_lines_that_do_not_answer_stop_recognition(rig: Any) -> None:
    async def scene(r: Any) -> None:
        await r.recognising()
        r.lines.failing = True
        assert await r.until(lambda: not r.worker.running) < 1.0
        r.lines.failing = False
        await r.recognising()

    rig().play(scene)


def test_sign_stays_on_until_worker_has_exited(rig: Any) -> None:
    async def scene(r: Any) -> None:
        await r.recognising()
        r.launcher.script.lingers_s = 1.5
        r.hub.operator(False)
        while r.worker.running:
            assert r.lines.sign_driven
            await asyncio.sleep(0.01)
        await r.until(lambda: not r.lines.sign_driven, 1.0)

    rig().play(scene)


def test_without_an_operator_nobody_is_recognised(rig: Any) -> None:
    async def scene(r: Any) -> None:
        await asyncio.sleep(5)
        assert r.state is State.READY
        assert not r.lines.sign_driven
        r.hub.operator(True)
        await r.recognising()
        r.hub.operator(False)
        assert await r.until(lambda: not r.worker.running) < 1.0
        assert r.state is State.INHIBITED
        assert "operator" in r.reasons

    rig(operator=False).play(scene)


def test_a_short_gap_of_the_hub_is_bridged_and_a_long_one_inhibits(rig: Any) -> None:
    async def scene(r: Any) -> None:
        await r.recognising()
        r.exchange.kill("hub")
        await asyncio.sleep(4)
        assert r.state is State.RECOGNISING
        took = await r.until(lambda: r.state is State.INHIBITED)
        assert took < 1.5

    rig().play(scene)


@pytest.mark.parametrize("who", ["button", "hub"])
def test_stop_ends_recognition_and_lasts_until_resume(rig: Any, who: str) -> None:
    async def scene(r: Any) -> None:
        await r.recognising()
        r.lines.press_stop() if who == "button" else r.hub.command("stop")
        assert await r.until(lambda: not r.worker.running) < 1.0
        await asyncio.sleep(5)
        assert r.state is State.INHIBITED
        assert "STOP" in r.reasons
        assert not r.lines.sign_driven
        r.hub.command("unheard-of")
        await asyncio.sleep(1)
        assert r.state is State.INHIBITED
        r.hub.command("resume")
        await r.recognising()

    rig().play(scene)
