"""The unit file as systemd's own checker reads it, and what the supervisor relies on in it."""

from __future__ import annotations

import argparse
import json
import re
import subprocess
from pathlib import Path

import pytest

from device import eraser
from device.edges.broker import paho
from device.supervisor import timing
from device.worker import lease
from engines.places import cache_dir
from tools.dev.gate.system_packages import SYSTEMD_ANALYZE, provide
from tools.hub.cli.commands import register
from tools.hub.notify import ALIVE_S

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


@pytest.mark.parametrize("name", ["lfr.service", "lfr-erase.service", "lfr-hub.service"])
def test_exposure_stays_under_three(tmp_path: Path, name: str) -> None:
    copy = tmp_path / name
    copy.write_text(re.sub("/opt/lfr/[a-z.]+/bin/[a-z]+", "/bin/true", (UNIT.parent / name).read_text()))
    program = provide(SYSTEMD_ANALYZE, cache_dir())
    command = [str(program), "security", "--offline=true", "--threshold=30", "--json=short", str(copy)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    assert json.loads(done.stdout)


def test_the_eraser_depends_on_nothing_of_the_service_and_counts_in_time_that_cannot_be_set_back() -> None:
    unit, timer = ((UNIT.parent / f"lfr-erase.{kind}").read_text() for kind in ("service", "timer"))
    said = [line for line in unit.splitlines() if not line.startswith("#")]
    assert not any(
        "lfr.service" in line or line.startswith(("Requires", "After", "PartOf", "BindsTo")) for line in said
    )
    times = [line for line in timer.splitlines() if line.startswith("On")]
    assert times == ["OnBootSec=20", "OnUnitInactiveSec=60"]
    assert "WantedBy=timers.target" in timer
    assert f"{eraser.LOCK_WAIT_S:.0f} s for the outbox" in unit


def test_stop_timeout_is_longer_than_the_supervisors_own_deadlines(settings: dict[str, list[str]]) -> None:
    worker_s = timing.Budget().grace_s + timing.Budget().exit_s
    own_s = (
        worker_s
        + timing.EXECUTOR_CLOSE_S
        + timing.DELIVER_S
        + timing.RECEIPTS_S
        + timing.STOPPED_S
        + timing.TASKS_END_S
        + paho.CLOSE_WITHIN_S
    )
    assert own_s < float(settings["TimeoutStopSec"][0])


def test_a_hung_loop_is_killed_within_two_seconds_and_started_again_at_once(settings: dict[str, list[str]]) -> None:
    """Four notifications may be missed; SIGKILL, because a stopped process takes no other signal."""
    watchdog_s = float(settings["WatchdogSec"][0])
    assert 4 * timing.ALIVE_S <= watchdog_s <= 2.0
    assert settings["WatchdogSignal"] == ["SIGKILL"]
    assert settings["RestartSec"] == ["200ms"]
    assert timing.Budget().lease_s + lease.ORDERLY_S < watchdog_s, (
        "the worker has ended before its supervisor is killed"
    )


def test_a_reload_is_the_signal_that_the_supervisor_takes_for_one(settings: dict[str, list[str]]) -> None:
    assert settings["ExecReload"] == ["/bin/kill -HUP $MAINPID"]


def test_nothing_is_dumped_or_swapped(settings: dict[str, list[str]]) -> None:
    assert settings["LimitCORE"] == ["0"]
    assert settings["MemorySwapMax"] == ["0"]
    assert settings["LimitMEMLOCK"] == ["infinity"]


def test_the_clock_can_be_read(settings: dict[str, list[str]]) -> None:
    assert "ProtectClock" not in settings
    assert any("adjtimex" in value for value in settings["SystemCallFilter"])


def test_hopeless_endings_are_not_restarted(settings: dict[str, list[str]]) -> None:
    assert {int(status) for status in settings["RestartPreventExitStatus"][0].split()} == {64, 65, 77, 78}


def test_the_hubs_unit_starts_it_as_the_command_line_knows_it_and_feeds_its_watchdog() -> None:
    text = (UNIT.parent / "lfr-hub.service").read_text()
    keys = dict(line.split("=", 1) for line in text.splitlines() if "=" in line and not line.startswith("#"))
    arguments = keys["ExecStart"].split()[1:]
    parser = argparse.ArgumentParser()
    register(parser.add_subparsers())
    parsed = parser.parse_args(arguments)
    assert (parsed.folder, parsed.console_key) == (Path("/var/lib/lfr-hub"), Path("%d/console-key"))
    assert keys["LoadCredential"].startswith("console-key:")
    assert keys["Type"] == "notify"
    assert float(keys["WatchdogSec"]) >= 5 * ALIVE_S
    assert {"64", "65", "77", "78"} == set(keys["RestartPreventExitStatus"].split())
    assert "69" not in keys["RestartPreventExitStatus"], "a port in use and a broker that died are tried again"


def test_no_account_has_a_colon_in_its_name_for_people_which_sysusers_refuses() -> None:
    lines = (UNIT.parent / "lfr.sysusers.conf").read_text().splitlines()
    described = [match[1] for line in lines if (match := re.match(r'u \S+ \S+ "(.*)"', line))]
    assert described
    assert not any(":" in text for text in described)
