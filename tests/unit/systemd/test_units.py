"""The unit file as systemd's own checker reads it, and what the supervisor relies on in it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from device.supervisor import ending, keeper
from device.supervisor.device import STOPPED_S
from engines.places import cache_dir
from tools.gate.system_packages import SYSTEMD_ANALYZE, provide

ROOT = Path(__file__).resolve().parents[3]
UNIT = ROOT / "systemd" / "lfr.service"


@pytest.fixture
def settings() -> dict[str, list[str]]:
    """Every key of the unit with its values, in order."""
    found: dict[str, list[str]] = {}
    for line in UNIT.read_text().splitlines():
        if "=" in line and not line.startswith("#"):
            key, _, value = line.partition("=")
            found.setdefault(key, []).append(value)
    return found


def test_exposure_stays_under_three(tmp_path: Path) -> None:
    copy = tmp_path / UNIT.name
    copy.write_text(UNIT.read_text().replace("/opt/lfr/.venv/bin/lfr", "/bin/true"))
    program = provide(SYSTEMD_ANALYZE, cache_dir())
    command = [str(program), "security", "--offline=true", "--threshold=30", "--json=short", str(copy)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    assert json.loads(done.stdout)


def test_stop_timeout_is_longer_than_the_supervisors_own_deadlines(settings: dict[str, list[str]]) -> None:
    worker_s = keeper.Budget().grace_s + keeper.Budget().exit_s
    broker_close_s = 2.0
    own_s = worker_s + ending.DELIVER_S + ending.RECEIPTS_S + STOPPED_S + broker_close_s
    assert own_s < float(settings["TimeoutStopSec"][0])


def test_nothing_is_dumped_or_swapped(settings: dict[str, list[str]]) -> None:
    assert settings["LimitCORE"] == ["0"]
    assert settings["MemorySwapMax"] == ["0"]
    assert settings["LimitMEMLOCK"] == ["infinity"]


def test_the_clock_can_be_read(settings: dict[str, list[str]]) -> None:
    assert "ProtectClock" not in settings
    assert any("adjtimex" in value for value in settings["SystemCallFilter"])


def test_hopeless_endings_are_not_restarted(settings: dict[str, list[str]]) -> None:
    assert {int(status) for status in settings["RestartPreventExitStatus"][0].split()} == {64, 65, 77, 78}
