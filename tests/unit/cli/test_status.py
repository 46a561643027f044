"""lfr status and lfr why: what they print, and that an old status is never shown as the present one."""

from __future__ import annotations

import json
import os
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from device.cli.main import main
from device.domain.camera_fault import FAULTS, CameraFault
from device.domain.finding import Counters
from device.domain.time import WallTime, rfc3339, wall
from device.hub_api.messages import LiveViewReading
from device.ports.gpio import Lamp
from device.supervisor.conditions import tables
from device.supervisor.conditions.evaluation import evaluate
from device.supervisor.conditions.snapshot import CameraView, Snapshot
from device.supervisor.sign.blink_codes import OFF
from device.supervisor.sign.monitor import SignCounts
from device.supervisor.state_machine import State
from device.supervisor.status import file as status_file
from device.supervisor.status import view
from device.supervisor.status.certificates import CertificatesView
from device.wire.link import Beat

GONE_PID = 2**22 + 1  # above the largest pid that Linux gives


STOPPED = Snapshot(cameras={"front": CameraView.STOPPED}, stop="the STOP button was pressed")


def write(
    run_dir: Path,
    at: datetime,
    pid: int,
    lost: int = 0,
    beat: Beat | None = None,
    *,
    snapshot: Snapshot = STOPPED,
    state: State = State.READY,
    live_view: LiveViewReading | None = None,
    certificates: CertificatesView | None = None,
) -> None:
    """A status file as the supervisor writes it."""
    now = WallTime(wall(at))
    seen = view.StatusView(
        at=now,
        state=state,
        since=now,
        mode=None,
        snapshot=snapshot,
        evaluations=evaluate(snapshot),
        lamps=dict.fromkeys(Lamp, False),
        tower=OFF,
        simulated=True,
        totals=Counters(faces_seen=3, discarded=2, open_passages=1),
        alerts=0,
        lost=lost,
        probes_dropped=0,
        beats={} if beat is None else {"front": beat},
        camera_since=dict.fromkeys(snapshot.cameras, now),
        broker="connected",
        waiting=0,
        sign_counts=SignCounts(),
        live_view=live_view or LiveViewReading(allowed=False),
        certificates=certificates or CertificatesView(),
    )
    status_file.write(run_dir, view.status(seen, pid, "demo", "cam-1"))


def now() -> datetime:
    return datetime.now(timezone.utc)


def test_status_names_the_live_view_while_it_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    until = "2026-11-30T12:05:00.000Z"
    write(tmp_path, now(), os.getpid(), live_view=LiveViewReading(allowed=True, until=until, given_by="op-1"))
    assert main(["status", "--run-dir", str(tmp_path)]) == 0
    assert f"live view   pixelated, until {until}, asked for by op-1\n" in capsys.readouterr().out
    write(tmp_path, now(), os.getpid(), live_view=LiveViewReading(allowed=True))
    assert main(["status", "--run-dir", str(tmp_path)]) == 0
    assert "live view" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("days", "says"), [(20.5, "certificate 20 days left, until "), (-1.5, "certificate ENDED at "), (None, "unknown")]
)
def test_status_states_the_days_that_the_certificates_have_left(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], days: float | None, says: str
) -> None:
    at = wall(now() - timedelta(days=1))
    ends = None if days is None else wall(now() + timedelta(days=days))
    view_now = CertificatesView(own=ends, problem="no answer", failing_since=at)
    write(tmp_path, now(), os.getpid(), certificates=view_now)
    assert main(["status", "--run-dir", str(tmp_path)]) == 0
    (line,) = [one for one in capsys.readouterr().out.splitlines() if one.startswith("certificate ")]
    assert says in line
    assert f"; not renewed since {rfc3339(at)}: no answer" in line


def test_status_says_state_people_and_age(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path, now(), os.getpid())
    assert main(["status", "--run-dir", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert said.startswith("ready since ")
    assert "s ago" in said
    assert "3 seen = 2 discarded + 0 alerted + 1 still in view" in said
    assert "dark, simulated" in said


@pytest.mark.parametrize("command", ["status", "why"])
def test_status_and_why_name_a_lost_camera_and_one_that_sees_badly(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    snapshot = Snapshot(
        cameras={"front": CameraView.ONLINE, "rear": CameraView.OFFLINE},
        camera_problems={"rear": "SourceLost: rtsp://rear: lost"},
        camera_faults={"front": CameraFault.DEFOCUSED},
    )
    write(tmp_path, now(), os.getpid(), snapshot=snapshot, state=State.RECOGNISING)
    main([command, "--run-dir", str(tmp_path)])
    said = capsys.readouterr().out
    assert "camera rear offline: SourceLost: rtsp://rear: lost" in said
    assert f"camera front: {FAULTS[CameraFault.DEFOCUSED].advice}" in said
    main([command, "--run-dir", str(tmp_path), "--json"])
    assert len(json.loads(capsys.readouterr().out)["warnings"]) == 2


def test_status_names_people_lost_with_a_worker(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path, now(), os.getpid(), lost=4)
    assert main(["status", "--run-dir", str(tmp_path)]) == 0
    assert "+ 4 lost with a worker + 1 still in view" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("free", "said"),
    [(None, "front 312 MB\n"), (4_800_000_000, "front 312 MB; GPU memory free 4800 MB, all programs together\n")],
)
def test_status_says_what_a_worker_takes_and_what_the_gpu_has_left(
    free: int | None, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    taken: dict[str, Any] = {"rss_bytes": 312_000_000, "gpu_free_bytes": free}
    beat = Beat(seq=0, camera="online", fps=25.0, counters=Counters(), stage_p95_ms={}, **taken)
    write(tmp_path, now(), os.getpid(), beat=beat)
    assert main(["status", "--run-dir", str(tmp_path)]) == 0
    assert f"memory      {said}" in capsys.readouterr().out
    assert main(["status", "--json", "--run-dir", str(tmp_path)]) == 0
    (camera,) = json.loads(capsys.readouterr().out)["cameras"].values()
    assert (camera["rss_bytes"], camera["gpu_free_bytes"]) == (312_000_000, free)


def test_status_as_json_is_one_object(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path, now(), os.getpid())
    assert main(["status", "--json", "--run-dir", str(tmp_path)]) == 0
    status = json.loads(capsys.readouterr().out)
    assert status["state"] == "ready"
    assert status["age_s"] < 5


def test_why_shows_every_row_and_marks_what_is_not_known_yet(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path, now(), os.getpid())
    assert main(["why", "--run-dir", str(tmp_path)]) == 77
    said = capsys.readouterr().out
    for row in (*tables.ARM, *tables.RUN):
        assert row.name in said
    assert "STOP (the STOP button was pressed)" in said
    assert "wait watchlist loaded" in said
    assert said.count("(not known yet)") == said.count("  wait ")


def test_why_exits_77_while_a_condition_fails_or_is_not_known_and_0_when_all_hold(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("device.cli.status_command.STALE_S", 600.0)  # one file for six commands of a busy machine
    write(tmp_path, now(), os.getpid())
    file = tmp_path / "status.json"
    status = json.loads(file.read_text())
    for worst, verdict in (("holds", 0), ("pending", 77), ("fails", 77)):
        for row in status["conditions"]:
            row["result"] = "holds"
        status["conditions"][3]["result"] = worst
        file.write_text(json.dumps(status))
        for form in ([], ["--json"]):
            assert main(["why", "--run-dir", str(tmp_path), *form]) == verdict
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["conditions"][3]["result"] == "fails"


@pytest.mark.parametrize("noun", ["status", "why"])
def test_without_a_supervisor_it_is_69(tmp_path: Path, noun: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([noun, "--run-dir", str(tmp_path)]) == 69
    assert capsys.readouterr().out == ""


def test_a_status_of_a_process_that_is_gone_is_69(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path, now(), GONE_PID)
    for form in ([], ["--json"]):
        assert main(["status", "--run-dir", str(tmp_path), *form]) == 69
        said = capsys.readouterr()
        assert said.out == ""
        assert "ended without a notice" in said.err
        assert "was ready" in said.err


def test_a_status_from_the_future_is_69(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path, now() + timedelta(seconds=60), os.getpid())
    assert main(["status", "--run-dir", str(tmp_path)]) == 69
    assert "clock was set back" in capsys.readouterr().err


def test_an_old_status_is_69(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path, now() - timedelta(seconds=60), os.getpid())
    assert main(["status", "--run-dir", str(tmp_path)]) == 69
    assert "does not answer" in capsys.readouterr().err


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"written_at": 3}', '{"written_at": "noon"}'])
def test_a_broken_status_file_is_69(tmp_path: Path, content: str, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "status.json").write_text(content)
    assert main(["status", "--run-dir", str(tmp_path)]) == 69
    assert "is no status of a supervisor" in capsys.readouterr().err


def test_a_status_that_may_not_be_read_is_explained(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "status.json").mkdir()
    assert main(["status", "--run-dir", str(tmp_path)]) == 69
    assert "cannot be read: Is a directory; " in capsys.readouterr().err
