"""lfr.target and its members on a booted systemd: plans, self-test, device; ended for good, and said so."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

import pytest

from tests.system.conftest import Board
from tests.system.guest import Guest
from tests.unit.systemd.test_units import MOST_EXPOSED, OF_THE_HUB

pytestmark = pytest.mark.system
MEMBERS = ("lfr.service", "lfr-engines.service", "lfr-selftest.service", "lfr-erase.timer")
CRASH = "[Service]\\nExecStart=\\nExecStart=/bin/sh -c 'exit 1'\\nType=exec\\n"
DROP_IN = "/run/systemd/system/lfr.service.d"


def self_test(guest: Guest) -> str:
    """The unit's ActiveState."""
    return guest.show("lfr-selftest", "ActiveState")["ActiveState"]


@pytest.fixture
def enabled(board: Board) -> Iterator[Board]:
    """The units enabled as the README says, and all of them stopped; taken back afterwards."""
    board.publish()
    board.guest.run("systemctl", "enable", "--quiet", *MEMBERS)
    yield board
    board.guest.run("systemctl", "stop", "lfr.target")
    board.guest.run("systemctl", "disable", "--quiet", *MEMBERS, "lfr.target")


def test_the_target_starts_plans_device_and_self_test_and_stops_them_again(enabled: Board) -> None:
    guest = enabled.guest
    assert guest.run("systemctl", "is-enabled", "lfr.target").strip() == "enabled"
    guest.run("systemctl", "start", "lfr.target", within_s=180)
    engines = guest.show("lfr-engines", "ActiveState", "SubState", "StatusText")
    assert engines.pop("StatusText").startswith("no plans are needed: the backend is o")
    assert engines == {"ActiveState": "active", "SubState": "exited"}
    enabled.until_recognising()
    shown = guest.run("systemctl", "list-dependencies", "--plain", "lfr.target")
    assert all(member in shown for member in MEMBERS)
    guest.until(lambda: self_test(guest) in ("active", "failed"), 300.0, enabled.why)
    assert self_test(guest) == "active", "\n".join(guest.journal("lfr-selftest"))
    assert " ok, " in guest.show("lfr-selftest", "StatusText")["StatusText"]
    guest.run("systemctl", "stop", "lfr.service")
    guest.run("systemctl", "start", "lfr.target")
    restarted = "a member that was stopped starts again"
    guest.until(lambda: guest.show("lfr", "ActiveState")["ActiveState"] == "active", why=lambda: restarted)
    guest.run("systemctl", "stop", "lfr.target")
    stopped = dict.fromkeys(MEMBERS, "inactive") | {"lfr-erase.timer": "active"}
    guest.until(lambda: {unit: guest.show(unit, "ActiveState")["ActiveState"] for unit in MEMBERS} == stopped)


LOADED = "from calibration.cli.engines_command import _OfDevice"
STEPS = 6
BUILD = f"""
import time
{LOADED}
for step in range({STEPS}):
    _OfDevice().report(f"plan 1 of 1: step {{step}}", 5.0 + 2 * STEP_S)
    time.sleep(STEP_S)
time.sleep(600)
"""


def test_a_build_of_plans_shows_its_steps_is_not_cut_short_and_is_ended_when_it_makes_none(board: Board) -> None:
    guest, place = board.guest, "/run/systemd/system/lfr-engines.service.d"
    began = time.monotonic()
    guest.run("/opt/lfr/.venv/bin/python", "-c", LOADED)
    within_s = 3 + round(4 * (time.monotonic() - began))  # its first step comes in time, all its steps would not
    (board.scratch / "build.py").write_text(BUILD.replace("STEP_S", str(1.2 * within_s / STEPS)))
    started = f"ExecStart=\\nExecStart=/opt/lfr/.venv/bin/python /srv/host/build.py\\nTimeoutStartSec={within_s}\\n"

    def still_builds_in_its_last_step() -> bool:
        shown = guest.show("lfr-engines", "StatusText", "ActiveState")
        return f"step {STEPS - 1}" in shown["StatusText"] and shown["ActiveState"] == "activating"

    guest.run("sh", "-ec", f"mkdir -p {place}; printf '[Service]\\n{started}' >{place}/b.conf; systemctl daemon-reload")
    try:
        guest.run("systemctl", "start", "--no-block", "lfr-engines")
        guest.until(still_builds_in_its_last_step, 60.0 + 4 * within_s)
        guest.until(lambda: guest.show("lfr-engines", "ActiveState")["ActiveState"] == "failed", 60.0 + 4 * within_s)
        assert guest.show("lfr-engines", "Result")["Result"] == "timeout"
    finally:
        guest.run("sh", "-ec", f"rm -r {place}; systemctl daemon-reload; systemctl reset-failed lfr-engines")


def test_the_self_test_says_what_fails_in_its_status_line_and_by_priority(enabled: Board) -> None:
    guest = enabled.guest
    guest.run("mv", "/var/cache/lfr/models/manifest.json", "/var/cache/lfr/models/away")
    try:
        guest.run("systemctl", "start", "lfr-selftest", check=False, within_s=240)
        shown = guest.show("lfr-selftest", "ActiveState", "ExecMainStatus", "StatusText")
    finally:
        guest.run("mv", "/var/cache/lfr/models/away", "/var/cache/lfr/models/manifest.json")
    assert (shown["ActiveState"], shown["ExecMainStatus"]) == ("failed", "69")
    assert "failed; first: model " in shown["StatusText"]
    assert "lfr engines prepare" in shown["StatusText"]
    errors = guest.journal("lfr-selftest", "--priority=3", "--output=cat")
    assert errors[0].startswith("FAIL model ")
    assert not any("ok  " in error for error in errors)


def test_a_device_that_ends_for_good_is_said_to_with_the_commands_that_help(board: Board) -> None:
    guest = board.guest
    fast = CRASH + "[Unit]\\nStartLimitBurst=4\\n"
    guest.run("sh", "-ec", f'mkdir -p {DROP_IN}; printf "{fast}" >{DROP_IN}/crash.conf; systemctl daemon-reload')
    try:
        guest.run("systemctl", "start", "lfr", check=False)
        guest.until(lambda: guest.show("lfr-failed", "ActiveState")["ActiveState"] == "active", why=board.why)
        told = guest.show("lfr", "ActiveState", "Result", "NRestarts")
        text = guest.show("lfr-failed", "StatusText")["StatusText"]
        errors = guest.journal("lfr-failed", "--priority=2", "--output=cat")
    finally:
        guest.run("sh", "-ec", f"rm -r {DROP_IN}; systemctl daemon-reload")
    assert told == {"ActiveState": "failed", "Result": "exit-code", "NRestarts": "4"}
    assert text.startswith(
        "lfr.service has failed too often and stays down (exit-code, exit status 1). Look: journalctl"
    )
    assert text.endswith("Then: systemctl reset-failed lfr; systemctl start lfr")
    assert text in errors
    guest.run("systemctl", "reset-failed", "lfr")
    guest.run("systemctl", "start", "lfr")
    over = "it is over with the next start"
    guest.until(lambda: guest.show("lfr-failed", "ActiveState")["ActiveState"] == "inactive", why=lambda: over)
    guest.run("systemctl", "stop", "lfr")


def test_this_systemd_accepts_the_units_and_finds_them_no_more_exposed_than_stated(board: Board) -> None:
    """Of another release with LFR_GUEST_RELEASE: new keys, deprecated ones, other weights of exposure."""
    version = int(board.guest.run("systemctl", "--version").split()[1])
    units = "cd /etc/systemd/system && systemd-analyze verify --man=no lfr*.service lfr*.target lfr*.timer 2>&1"
    said = board.guest.run("sh", "-c", units, check=False).splitlines()
    assert [line for line in said if version >= 254 or "RestartMode" not in line] == []
    for name in (name for name in MOST_EXPOSED if name not in OF_THE_HUB):
        shown = board.guest.run("systemd-analyze", "security", "--no-pager", name, check=False)
        found = re.search(rf"Overall exposure level for {name}: ([0-9.]+)", shown)
        assert found is not None, shown
        assert float(found[1]) * 10 <= MOST_EXPOSED[name] + 0.01, f"{name} on systemd {version}: {found[1]}"
