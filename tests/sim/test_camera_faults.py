"""What a worker finds wrong with its camera: which faults stop the device, which are warnings, who gets a report."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from device.domain.camera_fault import FAULTS, CameraFault
from device.hub_api import messages
from device.supervisor.conditions.snapshot import CameraView
from device.supervisor.state_machine import State
from device.supervisor.status.view import CAMERA_WORDS
from tests.sim.rig import MakeRig, Rig

STOPS = [fault for fault in CameraFault if FAULTS[fault].stops]
WARNS = [fault for fault in CameraFault if not FAULTS[fault].stops]


def cameras(r: Rig) -> dict[str, messages.CameraStatus]:
    """The last notice of each camera."""
    return {one.camera_id: one for one in r.hub.all(messages.CameraStatus)}


def written(r: Rig) -> Any:
    """The status file, as `lfr status` and `lfr why` read it."""
    return json.loads((r.config.run_dir / "status.json").read_text(encoding="utf-8"))


def test_the_faults_that_stop_are_those_of_decision_0510() -> None:
    stalled_or_not_as_sent = {CameraFault.STALLED, CameraFault.SIZE_CHANGED, CameraFault.FROZEN}
    nobody_to_be_seen = {CameraFault.DARK, CameraFault.OVEREXPOSED, CameraFault.COVERED}
    assert set(STOPS) == stalled_or_not_as_sent | nobody_to_be_seen


@pytest.mark.parametrize("fault", STOPS)
def test_a_fault_that_stops_fails_the_condition_and_is_named_with_its_remedy_until_it_is_over(
    rig: MakeRig, fault: CameraFault
) -> None:
    async def scene(r: Rig) -> None:
        await r.recognising()
        r.worker.view = fault.value
        assert await r.until(lambda: r.state is State.INHIBITED, 1.0) <= 0.5
        await asyncio.sleep(1.0)
        assert FAULTS[fault].advice in r.reasons
        assert FAULTS[fault].advice in r.service.said[-1]
        notice = cameras(r)["front"]
        assert (notice.fault, notice.text) == (fault, FAULTS[fault].advice)
        assert notice.status in {"frozen", "dark", "offline"}
        assert r.worker.running
        r.worker.view = "online"
        await r.until(lambda: r.state is State.RECOGNISING, 3.0)
        await asyncio.sleep(1.0)
        assert (cameras(r)["front"].fault, cameras(r)["front"].text) == (None, "")

    rig(live=True).play(scene)


@pytest.mark.parametrize("fault", WARNS)
def test_a_warning_leaves_the_device_recognising_and_is_shown_everywhere(rig: MakeRig, fault: CameraFault) -> None:
    async def scene(r: Rig) -> None:
        await r.recognising()
        r.worker.warning = fault.value
        await asyncio.sleep(1.5)
        assert r.state is State.RECOGNISING
        advice = f"camera front: {FAULTS[fault].advice}"
        assert r.service.said[-1].endswith(f" queued: {advice}")
        assert written(r)["warnings"] == [advice]
        assert (cameras(r)["front"].status, cameras(r)["front"].fault) == ("online", fault)
        assert written(r)["lamps"]["fault"] is (fault is not CameraFault.STILL)
        r.worker.warning = ""
        await asyncio.sleep(1.5)
        assert r.service.undisturbed
        assert not written(r)["lamps"]["fault"]

    rig(live=True).play(scene)


def test_of_two_cameras_one_is_lost_and_the_other_goes_on_while_status_line_and_lamp_name_the_lost_one(
    rig: MakeRig,
) -> None:
    async def scene(r: Rig) -> None:
        await r.recognising()
        await r.until(lambda: len(r.launcher.workers) == 2)
        await asyncio.sleep(1.0)
        assert r.service.undisturbed
        r.launcher.script.lost_after_s = 0.0
        r.launcher.of("rear").fail("SourceLost", "rtsp://camera/rear: lost", 69)
        for _ in range(20):
            await asyncio.sleep(0.5)
            assert r.state is State.RECOGNISING
            assert r.launcher.of("front").running
        line = r.service.said[-1]
        assert line.startswith("recognising, ")
        assert " queued: camera rear offline: SourceLost: rtsp://camera/rear: lost" in line
        assert cameras(r)["rear"].status == "offline"
        assert "retried until it is back" in cameras(r)["rear"].text
        assert cameras(r)["front"].status == "online"
        assert written(r)["lamps"]["fault"]
        r.launcher.script.lost_after_s = None
        await r.until(lambda: r.service.undisturbed, 10.0)
        await asyncio.sleep(1.2)
        assert not written(r)["lamps"]["fault"]

    rig(live=True, cameras=("front", "rear")).play(scene)


def test_a_lost_camera_is_offline_when_its_worker_reports_it_not_when_its_process_is_gone(rig: MakeRig) -> None:
    async def scene(r: Rig) -> None:
        await r.recognising()
        r.launcher.script.lingers_s = 1.5
        r.worker.fail("SourceLost", "rtsp://camera/front: lost", 69)
        assert await r.until(lambda: r.state is State.INHIBITED, 1.0) <= 0.2

    rig(live=True).play(scene)


def test_the_next_worker_of_a_camera_is_given_the_size_of_the_first_pictures(rig: MakeRig) -> None:
    async def scene(r: Rig) -> None:
        await r.recognising()
        assert r.worker.assignment.camera.size is None
        r.worker.fail("SourceLost", "the picture's size changed to 640x360", 69)
        await r.until(lambda: len(r.launcher.workers) == 2)
        await r.recognising()
        assert r.worker.assignment.camera.size == (1280, 720)

    rig(live=True).play(scene)


def test_every_fault_that_stops_is_a_view_and_has_a_word_of_the_contract() -> None:
    assert {fault.value for fault in STOPS} <= {view.value for view in CameraView}
    assert {CAMERA_WORDS.get(CameraView(fault.value), "offline") for fault in STOPS} == {"frozen", "dark", "offline"}
