"""The commissioning view on a whole device: no list, the sign lit first, and a zone that the hub sets and signs."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest

from device.hub_api import messages
from device.hub_api.topics import DeviceTopics
from device.supervisor.state_machine import State
from device.wire.link import View, ViewPicture
from tests.commands import a_command
from tests.sim.rig import RECIPIENT, MakeRig, Rig
from tests.sim.test_live_view import rows

TOPIC = DeviceTopics("demo", "cam-1").view("front")
TRIANGLE = [(100, 100), (900, 100), (500, 800)]


def unpublished(rig: MakeRig) -> Rig:
    """A device that allows the view, and for which nothing is published yet."""
    r: Rig = rig(live_view=True)
    r.repository.offers = False
    return r


def asked(r: Rig) -> None:
    r.hub.send(a_command(r.hub.folder, "view", r.clock.wall(), recipient=RECIPIENT, good_for_s=300.0))


def zone(r: Rig, polygon: list[tuple[int, int]], camera: str = "front") -> messages.Command:
    wanted = messages.CommandZone(camera_id=camera, polygon=polygon)
    return a_command(r.hub.folder, "zone", r.clock.wall(), zone=wanted)


async def commissioned(r: Rig) -> None:
    await r.until(lambda: r.state is State.READY)
    await asyncio.sleep(2)
    assert not r.device.supervisor.sign.driven
    asked(r)
    await r.until(lambda: bool(r.launcher.workers) and bool(r.worker.views))
    await asyncio.sleep(r.launcher.script.hello_s)


def test_without_a_list_a_detector_runs_under_a_sign_that_was_sensed_lit_and_goes_dark_after_it(rig: MakeRig) -> None:
    async def scene(r: Rig) -> None:
        await commissioned(r)
        assert r.lines.sign_sensed()
        assert r.worker.commission is not None
        assert r.worker.assignment is None
        assert r.worker.views[-1] == View(recipient=RECIPIENT)
        r.worker.say(ViewPicture(sealed=b"for the hub"))
        await r.until(lambda: (TOPIC, b"for the hub") in r.hub.received)
        assert r.state is State.READY
        r.hub.command("end-view")
        await r.until(lambda: not r.worker.running)
        await r.until(lambda: not r.device.supervisor.sign.driven)

    unpublished(rig).play(scene)


def test_no_detector_runs_while_the_sign_is_not_sensed_lit(rig: MakeRig) -> None:
    async def scene(r: Rig) -> None:
        await commissioned(r)
        worker = r.worker
        r.lines.lamp_works = False
        await r.until(lambda: not worker.running, within_s=2.0)
        await asyncio.sleep(5)
        assert not r.worker.running

    unpublished(rig).play(scene)


def test_a_worker_without_its_protections_shows_nothing_of_a_live_camera(rig: MakeRig) -> None:
    async def scene(r: Rig) -> None:
        r.launcher.script.protections = {**r.launcher.script.protections, "memory_locked": False}
        await r.until(lambda: r.state is State.READY)
        await asyncio.sleep(2)
        asked(r)
        await r.until(lambda: bool(r.launcher.workers))
        worker = r.worker
        worker.say(ViewPicture(sealed=b"for the hub"))
        await r.until(lambda: not worker.running)
        await asyncio.sleep(5)
        assert len(r.launcher.workers) == 1, "it is not tried again while this view is asked for"
        assert not any(topic == TOPIC for topic, _ in r.hub.received)

    r: Rig = rig(live_view=True, live=True)
    r.repository.offers = False
    r.play(scene)
    refused = [(row.camera, row.condition) for row in rows(r) if row.what == "refused"]
    assert refused == [("front", "memory locked")]


@pytest.mark.parametrize("how", ["stop", "hub away", "end-view", "housing opened"])
def test_stop_a_hub_that_is_away_an_opened_housing_and_the_end_of_the_view_stop_it(rig: MakeRig, how: str) -> None:
    async def scene(r: Rig) -> None:
        await commissioned(r)
        worker = r.worker
        if how == "hub away":
            r.exchange.go_down()
        elif how == "housing opened":
            r.lines.tamper()
        else:
            r.hub.command(how)
        await r.until(lambda: not worker.running, within_s=2.0)

    unpublished(rig).play(scene)


def test_a_deployment_that_arrives_finds_no_commissioning_worker_left(rig: MakeRig) -> None:
    async def scene(r: Rig) -> None:
        await commissioned(r)
        first = r.worker
        r.repository.offers = True
        await r.recognising()
        assert not first.running
        assert r.worker.assignment is not None
        started = [w.started_ns for w in r.launcher.workers if w.assignment is not None]
        assert first.ended_ns is not None
        assert min(started) >= first.ended_ns

    unpublished(rig).play(scene)


def test_a_zone_is_set_while_nothing_is_loaded_kept_signed_and_searched_in_the_next_deployment(rig: MakeRig) -> None:
    async def scene(r: Rig) -> None:
        await commissioned(r)
        r.hub.send(zone(r, TRIANGLE))
        await r.until(lambda: len(r.launcher.workers) == 2 and bool(r.worker.views))
        assert r.worker.commission is not None
        assert r.worker.commission.camera.zone == ((0.1, 0.1), (0.9, 0.1), (0.5, 0.8))
        assert (r.folder / "state" / "zones" / "front.json").exists()
        r.repository.offers = True
        await r.recognising()
        assert r.worker.assignment is not None
        assert r.worker.assignment.camera.zone == ((0.1, 0.1), (0.9, 0.1), (0.5, 0.8))

    r = unpublished(rig)
    r.play(scene)
    (row,) = [row for row in rows(r) if row.what == "zone"]
    assert (row.camera, row.officer, row.count) == ("front", "op-1", 3)


@pytest.mark.parametrize(
    ("polygon", "camera"),
    [
        pytest.param([(0, 0), (1000, 1000), (1000, 0), (0, 1000)], "front", id="crosses itself"),
        pytest.param([(0, 0), (500, 0), (1000, 0)], "front", id="has no area"),
        pytest.param(TRIANGLE, "rear", id="no camera of this device"),
    ],
)
def test_a_zone_that_is_none_is_refused(rig: MakeRig, polygon: list[tuple[int, int]], camera: str) -> None:
    async def scene(r: Rig) -> None:
        await commissioned(r)
        r.hub.send(zone(r, polygon, camera))
        await asyncio.sleep(2)
        assert r.hub.replies()[-1] == ("zone", "refused")
        assert not (r.folder / "state" / "zones").exists()

    unpublished(rig).play(scene)


def test_a_zone_is_refused_while_a_list_is_loaded_and_when_its_corners_were_changed_on_the_way(rig: MakeRig) -> None:
    async def scene(r: Rig) -> None:
        await r.recognising()
        r.hub.send(zone(r, TRIANGLE))
        await asyncio.sleep(2)
        assert r.hub.replies() == [("zone", "refused")]
        other = messages.CommandZone(camera_id="front", polygon=[(0, 0), (1000, 0), (500, 800)])
        r.hub.send(msgspec.structs.replace(zone(r, TRIANGLE), zone=other))
        await asyncio.sleep(2)
        assert r.hub.replies() == [("zone", "refused")]

    rig(live_view=True).play(scene)


def kept(folder: Path, content: Any) -> None:
    (folder / "state" / "zones").mkdir(parents=True, exist_ok=True)
    (folder / "state" / "zones" / "front.json").write_bytes(content)


@pytest.mark.parametrize("forged", ["", "other corners", "another command"])
def test_a_kept_zone_counts_after_a_restart_only_with_the_hubs_signature(rig: MakeRig, forged: str) -> None:
    async def scene(r: Rig) -> None:
        await r.recognising()
        assert r.worker.assignment is not None
        own = ((0, 0), (1, 0), (1, 1))
        expected = own if forged else ((0.1, 0.1), (0.9, 0.1), (0.5, 0.8))
        assert r.worker.assignment.camera.zone == expected

    r = rig()
    command = zone(r, TRIANGLE)
    if forged == "another command":
        command = a_command(r.hub.folder, "sync", r.clock.wall(), zone=command.zone)
    elif forged:
        other = messages.CommandZone(camera_id="front", polygon=[(0, 0), (1000, 0), (500, 800)])
        command = msgspec.structs.replace(command, zone=other)
    kept(r.folder, msgspec.json.encode(command))
    r.play(scene)
    assert [row.reason for row in rows(r) if row.what == "refused" and row.rule == "zone"] == (
        ["kept zone"] if forged else []
    )


@pytest.mark.slow
@pytest.mark.parametrize("put_back", [False, True])
def test_an_older_zone_of_the_hub_that_is_put_back_is_refused(rig: MakeRig, put_back: bool) -> None:
    """Its signature is good; the audit log shows that a later zone was set."""
    other = [(0, 0), (1000, 0), (500, 800)]

    async def setting(r: Rig) -> bytes:
        await commissioned(r)
        r.hub.send(zone(r, TRIANGLE))
        file = r.folder / "state" / "zones" / "front.json"
        await r.until(file.exists)
        older = file.read_bytes()
        await asyncio.sleep(60)
        r.hub.send(zone(r, other))
        await r.until(lambda: file.read_bytes() != older)
        await r.until(lambda: [row.what for row in rows(r)].count("zone") == 2)
        return older

    first = unpublished(rig)
    older = first.play(setting)
    if put_back:
        kept(first.folder, older)

    async def searching(r: Rig) -> None:
        await r.recognising()
        assert r.worker.assignment is not None
        own = ((0, 0), (1, 0), (1, 1))
        expected = own if put_back else ((0.0, 0.0), (1.0, 0.0), (0.5, 0.8))
        assert r.worker.assignment.camera.zone == expected

    again = rig(again=first)
    again.play(searching)
    refused = [row.reason for row in rows(again) if row.what == "refused" and row.rule == "zone"]
    assert refused == (["kept zone"] if put_back else [])
