"""A whole device shows when its certificates end and why they are not renewed; it goes on recognising."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from typing import Any

import pytest

from device.domain.symptoms.names import Site
from device.domain.symptoms.table import advice
from device.domain.time import rfc3339, wall
from device.hub_api import messages
from device.supervisor.state_machine import State
from device.supervisor.timing import HEALTH_S, RENEWAL_FIRST_S
from device.sync.renewal import Asked, Ends
from tests.sim.rig import MakeRig, Rig

pytestmark = pytest.mark.slow


def written(r: Rig) -> Any:
    """The status file."""
    return json.loads((r.config.run_dir / "status.json").read_text(encoding="utf-8"))


def test_a_certificate_near_its_end_is_named_everywhere_until_a_renewed_one_is_used(rig: MakeRig) -> None:
    async def scene(r: Rig) -> None:
        near, far = wall(r.clock.wall() + timedelta(days=10, hours=1)), wall(r.clock.wall() + timedelta(days=80))
        r.certificate_ends = Ends(own=near, authority=far)
        await r.recognising()
        await asyncio.sleep(HEALTH_S + 1)
        text = advice(Site.CERTIFICATE_ENDS_SOON, f"this device's, {near:%Y-%m-%d %H:%M} UTC")
        assert written(r)["warnings"] == [text]
        assert written(r)["certificates"]["days_left"] == 10
        assert text in r.service.said[-1]
        assert r.hub.last(messages.Health).certificates_end == rfc3339(near)
        r.asked, r.certificate_ends = Asked(renewed=True), Ends(own=far, authority=far)
        await asyncio.sleep(RENEWAL_FIRST_S + HEALTH_S)
        assert written(r)["warnings"] == []
        assert r.hub.last(messages.Health).certificates_end == rfc3339(far)
        assert r.state is State.RECOGNISING

    rig(live=True).play(scene)


def test_a_renewal_that_is_refused_is_named_everywhere(rig: MakeRig) -> None:
    async def scene(r: Rig) -> None:
        r.asked = Asked(problem="the renewed authority is of another key or name", refused=True)
        await r.recognising()
        await asyncio.sleep(RENEWAL_FIRST_S + HEALTH_S)
        assert written(r)["warnings"] == [advice(Site.CERTIFICATE_NOT_RENEWED, r.asked.problem)]
        assert written(r)["certificates"]["not_renewed"] == r.asked.problem
        assert r.asked.problem in r.service.said[-1]
        assert r.hub.last(messages.Health).certificates_not_renewed == r.asked.problem

    rig(live=True).play(scene)


def test_a_reload_reads_the_certificates_again(rig: MakeRig) -> None:
    async def scene(r: Rig) -> None:
        await r.recognising()
        assert written(r)["certificates"]["days_left"] is None
        r.certificate_ends = Ends(own=wall(r.clock.wall() + timedelta(days=30, hours=1)))
        r.device.reload()
        await asyncio.sleep(2)
        assert written(r)["certificates"]["days_left"] == 30

    rig(live=True).play(scene)
