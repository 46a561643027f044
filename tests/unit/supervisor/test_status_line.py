"""The service manager's line: state, counts, first failing condition with its remedy, cameras that are away."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest

from device.domain.camera_fault import CameraFault
from device.domain.finding import Counters
from device.domain.symptoms.names import Site
from device.domain.symptoms.table import advice
from device.domain.time import WallTime, wall
from device.hub_api.messages import LiveViewReading
from device.supervisor.conditions.condition import Evaluation, Result
from device.supervisor.conditions.evaluation import evaluate
from device.supervisor.conditions.snapshot import CameraView, Snapshot
from device.supervisor.conditions.tables import ARM, RUN
from device.supervisor.sign.blink_codes import OFF
from device.supervisor.sign.monitor import SignCounts
from device.supervisor.state_machine import State
from device.supervisor.status.certificates import CertificatesView
from device.supervisor.status.line import MOST, release_note, status_line
from device.supervisor.status.view import StatusView

NOW = WallTime(wall(datetime(2026, 11, 30, tzinfo=timezone.utc)))
GOOD = tuple(Evaluation(condition, Result.HOLDS, condition.text) for condition in (*ARM, *RUN))
TWO = Snapshot(
    cameras={"front": CameraView.ONLINE, "rear": CameraView.OFFLINE},
    camera_problems={"rear": "SourceLost: rtsp://rear: lost (retried until it is back)"},
)


def seen(state: State, snapshot: Snapshot, evaluations: tuple[Evaluation, ...] = GOOD) -> StatusView:
    return StatusView(
        at=NOW,
        state=state,
        since=NOW,
        mode=None,
        snapshot=snapshot,
        evaluations=evaluations,
        lamps={},
        tower=OFF,
        simulated=True,
        totals=Counters(faces_seen=312),
        alerts=2,
        lost=0,
        probes_dropped=0,
        beats={},
        camera_since={},
        broker="connected",
        waiting=3,
        sign_counts=SignCounts(),
        live_view=LiveViewReading(allowed=False),
    )


def failing(name: str, found: str = "") -> tuple[Evaluation, ...]:
    """Every condition holds but this one."""
    return tuple(
        replace(
            e,
            result=Result.FAILS,
            text=f"{e.condition.wrong}{f' ({found})' if found else ''}; {e.condition.remedy}",
        )
        if e.condition.name.value == name
        else e
        for e in GOOD
    )


def test_a_device_that_recognises_shows_its_counts_alone() -> None:
    line = status_line(seen(State.RECOGNISING, Snapshot(cameras={"front": CameraView.ONLINE})))
    assert line == "recognising, 0 frames/s, 312 faces, 3 queued"


def test_a_camera_that_is_lost_is_named_while_the_other_goes_on() -> None:
    line = status_line(seen(State.RECOGNISING, TWO))
    assert line == (
        "recognising, 0 frames/s, 312 faces, 3 queued: camera rear offline: SourceLost: rtsp://rear: lost "
        "(retried until it is back)"
    )


def test_the_first_failing_condition_stands_with_its_remedy_and_before_a_lost_camera() -> None:
    line = status_line(seen(State.INHIBITED, TWO, failing("no STOP")))
    wrong = next(c for c in RUN if c.name.value == "no STOP")
    assert line.startswith(
        f"inhibited, 0 frames/s, 312 faces, 3 queued: {wrong.wrong}; {wrong.remedy}; camera rear off"
    )


def test_a_camera_that_the_condition_names_is_not_named_twice() -> None:
    line = status_line(seen(State.INHIBITED, TWO, failing("camera live", "rear offline: gone")))
    assert line.count("rear offline") == 1


def test_before_a_deployment_only_what_waits_is_counted() -> None:
    assert status_line(seen(State.READY, Snapshot())) == "ready, 3 queued"
    assert status_line(replace(seen(State.READY, Snapshot()), waiting=0)) == "ready"


@pytest.mark.parametrize("name", [c.name.value for c in (*ARM, *RUN)])
def test_no_line_is_too_long_and_none_loses_its_remedy_to_what_was_found(name: str) -> None:
    long = "x" * 30 + " " + "y" * 400
    wrong = next(c for c in (*ARM, *RUN) if c.name.value == name)
    line = status_line(seen(State.INHIBITED, TWO, failing(name, long)))
    assert len(line) <= MOST
    if name != "camera live":  # the lost camera stands for it
        assert wrong.wrong in line
        assert wrong.remedy.partition(";")[0] in line


def test_many_failing_conditions_and_cameras_leave_the_first_and_where_the_rest_is() -> None:
    cameras = {f"camera-{n}": CameraView.OFFLINE for n in range(8)}
    faults = {f"camera-{n}": CameraFault.DEFOCUSED for n in range(8)}
    snapshot = Snapshot(cameras=cameras, camera_faults=faults, stop="the STOP button was pressed")
    line = status_line(seen(State.INHIBITED, snapshot, evaluate(snapshot)))
    assert len(line) <= MOST
    assert "more: lfr why" in line
    assert line.endswith("more: lfr status")


def test_the_release_is_named_and_of_one_that_failed_only_what_became_of_it() -> None:
    assert release_note("0.2.0", "") == " (release 0.2.0)"
    failed = f"0.3.0 was rolled back to 0.2.0: not healthy within 120 s: {'x' * 400}"
    assert release_note("0.2.0", failed) == " (release 0.2.0; 0.3.0 was rolled back to 0.2.0)"


def test_certificates_are_named_beside_what_stops_the_device_and_with_their_remedy_alone() -> None:
    old = CertificatesView(own=wall(NOW - timedelta(days=1)), problem="refused", refused=True, failing_since=NOW)
    ready = replace(seen(State.READY, Snapshot(cameras={})), certificates=old)
    assert advice(Site.CERTIFICATE_EXPIRED, "this device's, 2026-11-29 00:00 UTC")[:150] in status_line(ready)
    line = status_line(replace(ready, evaluations=failing("deployment loaded")))
    assert "no deployment is loaded" in line
    assert line.endswith("; a certificate has expired; certificates are not renewed")
