"""The board's health in status, health notice and status line of a whole device; the device goes on recognising."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from device.domain.symptoms.names import Health
from device.domain.symptoms.table import advice
from device.hub_api import messages
from device.supervisor.state_machine import State
from device.supervisor.timing import HEALTH_S
from tests.sim.rig import MakeRig, Rig


def written(r: Rig) -> Any:
    """The status file."""
    return json.loads((r.config.run_dir / "status.json").read_text(encoding="utf-8"))


def test_readings_are_published_and_what_is_unknown_is_null(rig: MakeRig) -> None:
    async def scene(r: Rig) -> None:
        r.board.load = 0.5
        await r.recognising()
        await asyncio.sleep(HEALTH_S + 1)
        health: messages.Health = r.hub.last(messages.Health)
        assert (health.gpu_load, health.power_mode, health.limited_by) == (0.5, "MAXN_SUPER", [])
        assert (health.memory_available_bytes, health.memory_total_bytes) == (5 * 2**30, 8 * 2**30)
        assert written(r)["board"]["gpu_load"] == 0.5
        r.board.load = r.board.mode = r.board.events = r.board.available_bytes = None
        await asyncio.sleep(HEALTH_S + 1)
        health = r.hub.last(messages.Health)
        assert (health.gpu_load, health.power_mode, health.limited_by, health.memory_available_bytes) == (None,) * 4
        assert set(written(r)["board"].values()) == {None}

    rig(live=True).play(scene)


@pytest.mark.slow
def test_a_weak_supply_is_named_with_its_remedy_while_it_recognises(rig: MakeRig) -> None:
    async def scene(r: Rig) -> None:
        await r.recognising()
        await asyncio.sleep(1.5)
        assert r.board.events is not None
        r.board.events["under-voltage"] += 1
        await asyncio.sleep(2.5)
        assert r.state is State.RECOGNISING
        assert written(r)["warnings"] == [advice(Health.SUPPLY, "under-voltage")]
        assert advice(Health.SUPPLY, "under-voltage") in r.service.said[-1]
        await asyncio.sleep(31)
        assert written(r)["warnings"] == []

    rig(live=True).play(scene)


def test_little_memory_is_a_warning(rig: MakeRig) -> None:
    async def scene(r: Rig) -> None:
        await r.recognising()
        r.board.available_bytes = 300 * 2**20
        await asyncio.sleep(2.5)
        assert written(r)["warnings"] == [advice(Health.MEMORY_LOW, "300 MiB left")]

    rig(live=True).play(scene)
