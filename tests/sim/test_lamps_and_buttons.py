"""Tower lamp, hub lamp and blue-list button of a whole device on fakes and virtual time."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from device.edges.gpio.simulated import SimulatedGpio
from device.errors import GpioUnavailable
from device.ports.gpio import TOWER, Lamp
from device.supervisor.blue_list.service import BlueList
from device.supervisor.state_machine import State
from tests.sim.rig import MakeRig, Rig


def tower(r: Rig) -> set[Lamp]:
    """The lamps of the tower that are lit."""
    return {lamp for lamp in TOWER if r.lines.lamps[lamp]}


async def blinks(r: Rig, lamp: Lamp) -> int:
    """How often a lamp is lit between two pauses of a second."""
    dark_s, count, counting = 0.0, 0, False
    for _ in range(600):
        before = r.lines.lamps[lamp]
        await asyncio.sleep(0.05)
        now = r.lines.lamps[lamp]
        dark_s = 0.0 if now else dark_s + 0.05
        if dark_s > 1.0:
            if count:
                return count
            counting = True
        count += counting and now and not before
    raise AssertionError("no code in 30 s")


def test_the_tower_lamp_is_green_while_it_recognises_and_blinks_the_code_of_what_fails(rig: MakeRig) -> None:
    async def scene(r: Rig) -> None:
        await r.recognising()
        await asyncio.sleep(0.3)
        assert tower(r) == {Lamp.TOWER_GREEN, Lamp.TOWER_SINGLE}
        r.lines.wire_cut = True
        await r.until(lambda: r.state is State.INHIBITED, 1.0)
        assert await blinks(r, Lamp.TOWER_RED) == 4
        assert await blinks(r, Lamp.TOWER_SINGLE) == 4
        assert not r.lines.lamps[Lamp.TOWER_GREEN]
        r.lines.wire_cut = False
        await r.recognising()
        r.hub.operator(False)
        await r.until(lambda: r.state is State.INHIBITED, 1.0)
        assert await blinks(r, Lamp.TOWER_AMBER) == 5
        r.lines.press_stop()
        r.hub.operator(True)
        await asyncio.sleep(0.5)
        assert await blinks(r, Lamp.TOWER_RED) == 3
        written: Any = json.loads((r.config.run_dir / "status.json").read_text(encoding="utf-8"))
        assert written["tower"]["code"] == "red, 3 blinks"
        assert "tower_red" not in written["lamps"], "a blink is no state"

    rig(live=True).play(scene)


def test_a_blinking_lamp_is_no_news_for_the_hub(rig: MakeRig) -> None:
    async def scene(r: Rig) -> None:
        await r.recognising()
        r.lines.press_stop()
        await asyncio.sleep(3.0)
        before = len(r.hub.states())
        await asyncio.sleep(20.0)
        assert len(r.hub.states()) == before
        lamps = r.hub.states()[-1].lamps
        assert lamps is not None
        assert lamps.tower == "red, 3 blinks"

    rig(live=True).play(scene)


def test_the_hub_lamp_is_lit_while_the_hub_is_online_and_dark_at_once_without_it(rig: MakeRig) -> None:
    async def scene(r: Rig) -> None:
        await r.recognising()
        assert r.lines.lamps[Lamp.HUB]
        r.exchange.go_down()
        assert await r.until(lambda: not r.lines.lamps[Lamp.HUB], 1.0) <= 0.5
        assert r.state is State.RECOGNISING, "a gap is bridged; the lamp shows it"

    rig(live=True).play(scene)


def test_each_press_of_the_blue_list_button_arrives_once_on_the_loop_and_stops_nothing(
    rig: MakeRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    presses: list[asyncio.AbstractEventLoop] = []
    monkeypatch.setattr(BlueList, "pass_logged", lambda *_: presses.append(asyncio.get_running_loop()))

    async def scene(r: Rig) -> None:
        await r.recognising()
        for expected in (1, 2):
            r.lines.press_blue_list_button()
            await asyncio.sleep(0.2)
            assert len(presses) == expected
        assert r.state is State.RECOGNISING
        assert set(presses) == {asyncio.get_running_loop()}

    rig(live=True).play(scene)


def test_a_blue_list_button_that_cannot_be_watched_stops_nothing(rig: MakeRig, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(*_: object) -> None:
        raise GpioUnavailable("line blue_list_button does not answer")

    monkeypatch.setattr(SimulatedGpio, "on_blue_list_button", gone)
    rig(live=True).play(lambda r: r.recognising())
