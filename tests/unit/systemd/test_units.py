"""The unit file as systemd's own checker reads it, and what the supervisor relies on in it."""

from __future__ import annotations

import argparse
import json
import re
import subprocess
from pathlib import Path

import pytest

from device import eraser
from device.domain.finding import Mode
from device.edges.broker import paho
from device.supervisor import timing
from device.worker import lease
from engines.cli.build_command import STEP_WITHIN_S
from engines.places import cache_dir
from tools.dev.gate.system_packages import SYSTEMD_ANALYZE, provide
from tools.flash.kit import UNIT_FILES
from tools.flash.plan import ENABLED, UNITS
from tools.hub.broker import bridge
from tools.hub.cli.commands import register
from tools.hub.notify import ALIVE_S
from tools.hub.storage.folder import ConsoleSettings

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


MOST_EXPOSED = {
    "lfr.service": 18,
    "lfr-selftest.service": 18,
    "lfr-engines.service": 7,
    "lfr-failed.service": 18,
    "lfr-erase.service": 10,
    "lfr-hub.service": 30,
    "lfr-bridge.service": 11,
}
"""Tenths of what `systemd-analyze security` calculates (systemd 252)."""
OF_THE_HUB = ("lfr-hub.service", "lfr-bridge.service")


@pytest.mark.parametrize("name", MOST_EXPOSED)
def test_exposure_stays_at_its_figure(tmp_path: Path, name: str) -> None:
    copy = tmp_path / name
    copy.write_text(
        re.sub("/opt/lfr/[a-z.]+/bin/[a-z]+|/usr/sbin/mosquitto", "/bin/true", (UNIT.parent / name).read_text())
    )
    program = provide(SYSTEMD_ANALYZE, cache_dir())
    most = f"--threshold={MOST_EXPOSED[name]}"
    command = [str(program), "security", "--offline=true", most, "--json=short", str(copy)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    assert json.loads(done.stdout)


def section(name: str, title: str = "Service") -> list[str]:
    """The lines of one section of a unit that are no comments."""
    text = (UNIT.parent / name).read_text().split(f"[{title}]\n")[1].split("\n[")[0]
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def test_the_self_test_runs_in_the_sandbox_of_the_device() -> None:
    sandbox = section("lfr.service")
    sandbox = sandbox[sandbox.index("User=lfr") :]
    assert section("lfr-selftest.service")[-len(sandbox) :] == sandbox


def test_what_installs_by_hand_and_what_flashes_enable_the_same() -> None:
    by_hand = {
        (file.name, wanted)
        for file in UNIT.parent.glob("lfr*.*")
        if file.suffix in (".service", ".target", ".timer") and file.name not in OF_THE_HUB
        for line in file.read_text().splitlines()
        if line.startswith("WantedBy=")
        for wanted in line.partition("=")[2].split()
    }
    assert set(ENABLED) == by_hand
    assert {unit for unit, _ in ENABLED} <= set(UNITS)
    assert set(UNITS) | {"lfr.sysusers.conf", "lfr-watchdog.conf"} == set(UNIT_FILES)


def test_the_target_stops_everything_but_the_erasure() -> None:
    stopped = {file.name for file in UNIT.parent.glob("lfr*.*") if "PartOf=lfr.target" in file.read_text().splitlines()}
    assert stopped == {"lfr.service", "lfr-engines.service", "lfr-selftest.service", "lfr-failed.service"}


def test_building_plans_opens_the_gpu_alone_and_holds_nothing_back() -> None:
    nodes = [line for line in section("lfr-engines.service") if line.startswith("DeviceAllow=")]
    of_device = [line for line in section("lfr.service") if line.startswith("DeviceAllow=")]
    assert nodes == [line for line in of_device if "gpiochip" not in line and "video4linux" not in line]
    assert "After=lfr-engines.service" not in section("lfr-engines.service", "Unit")
    assert any("lfr-engines.service" in line for line in section("lfr.service", "Unit") if line.startswith("After="))
    assert not any("lfr-engines" in x for x in section("lfr.service", "Unit") if x.startswith(("Wants", "Requires")))


def test_a_build_of_plans_is_extended_at_each_step_and_ends_when_none_comes() -> None:
    assert float(dict(x.split("=", 1) for x in section("lfr-engines.service"))["TimeoutStartSec"]) < STEP_WITHIN_S


def test_the_start_limit_is_reached_by_every_loop_whose_lives_are_shorter_than_ten_seconds() -> None:
    keys = dict(line.split("=", 1) for line in section("lfr.service", "Unit"))
    interval_s, burst = float(keys["StartLimitIntervalSec"]), int(keys["StartLimitBurst"])
    assert interval_s / burst == 10.0
    assert burst * 0.3 >= 15.0, "what passes within a quarter of a minute does not end the device"
    assert keys["OnFailure"] == "lfr-failed.service"
    assert keys["OnFailureJobMode"] == "fail", "or a restart whose stop fails is cancelled (Conflicts=)"


def test_a_failure_that_is_restarted_does_not_start_the_unit_that_conflicts_with_the_device(
    settings: dict[str, list[str]],
) -> None:
    """systemd 254 and later start OnFailure= before each restart, unless RestartMode= says otherwise."""
    assert "Conflicts=lfr.service" in section("lfr-failed.service", "Unit")
    assert settings["RestartMode"] == ["direct"]


def test_the_eraser_depends_on_nothing_of_the_service_and_counts_in_time_that_cannot_be_set_back() -> None:
    unit, timer = ((UNIT.parent / f"lfr-erase.{kind}").read_text() for kind in ("service", "timer"))
    said = [line for line in unit.splitlines() if not line.startswith("#")]
    assert not any(
        "lfr.service" in line or line.startswith(("Requires", "After", "PartOf", "BindsTo")) for line in said
    )
    times = [line for line in timer.splitlines() if line.startswith("On")]
    assert times == ["OnBootSec=20", "OnUnitInactiveSec=60"]
    assert "WantedBy=timers.target" in timer
    assert "PartOf" not in timer
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


def test_a_hung_loop_is_killed_within_a_second_and_a_half_and_started_again_at_once(
    settings: dict[str, list[str]],
) -> None:
    """Four notifications may be missed; SIGKILL, because a stopped process takes no other signal."""
    watchdog_s = float(settings["WatchdogSec"][0])
    assert 4 * timing.ALIVE_S <= watchdog_s <= 1.5
    assert settings["WatchdogSignal"] == ["SIGKILL"]
    assert settings["RestartSec"] == ["50ms"]
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
    assert (parsed.folder, parsed.console_key) == (
        Path("/var/lib/lfr-hub"),
        Path("${CREDENTIALS_DIRECTORY}/console-key"),
    )
    assert keys["LoadCredential"].startswith("console-key:")
    assert keys["Type"] == "notify"
    assert float(keys["WatchdogSec"]) >= 5 * ALIVE_S
    assert {"64", "65", "77", "78"} == set(keys["RestartPreventExitStatus"].split())
    assert "69" not in keys["RestartPreventExitStatus"], "a port in use and a broker that died are tried again"


def test_the_bridge_sees_what_its_configuration_names_and_nothing_else_of_the_hub() -> None:
    keys = dict(line.split("=", 1) for line in section("lfr-bridge.service"))
    hub, mine = Path("/var/lib/lfr-hub"), Path("/var/lib/lfr-hub/bridge")
    assert keys["ExecStart"] == f"/usr/sbin/mosquitto -c {mine / bridge.FILE}"
    assert keys["TemporaryFileSystem"] == f"{hub}:ro", "an empty folder stands in front of the hub's"
    shown = {Path(each) for each in keys["BindReadOnlyPaths"].split()}
    assert shown == {hub / name for name in ("ca.pem", "bridge.pem", "bridge.key")}
    assert keys["BindPaths"] == str(mine)
    cluster = bridge.Cluster(host="c", port=8883, ca=mine / "region.pem", cert=mine / "v.pem", key=mine / "v.key")
    settings = ConsoleSettings("north", Mode.TEST, (), {}, {}, "0.0.0.0", 8883, 8443)
    named = set(re.findall(r"/var/lib/\S+", bridge.configuration(hub, settings, cluster, "127.0.0.1")))
    assert len(named) == 7
    assert {file for file in map(Path, named) if mine not in file.parents} == shown


def test_no_account_has_a_colon_in_its_name_for_people_which_sysusers_refuses() -> None:
    lines = (UNIT.parent / "lfr.sysusers.conf").read_text().splitlines()
    described = [match[1] for line in lines if (match := re.match(r'u \S+ \S+ "(.*)"', line))]
    assert described
    assert not any(":" in text for text in described)
