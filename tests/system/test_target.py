"""lfr.target and its members on a booted systemd: plans, self-test, device; ended for good, and said so."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.system.conftest import Board
from tests.system.guest import Guest

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
    board.guest.run("systemctl", "stop", "lfr.target", within_s=60)
    board.guest.run("systemctl", "disable", "--quiet", *MEMBERS, "lfr.target")


def test_the_target_starts_plans_device_and_self_test_and_stops_them_again(enabled: Board) -> None:
    guest = enabled.guest
    assert guest.run("systemctl", "is-enabled", "lfr.target").strip() == "enabled"
    guest.run("systemctl", "start", "lfr.target", within_s=180)
    engines = guest.show("lfr-engines", "ActiveState", "SubState", "StatusText")
    assert engines.pop("StatusText").startswith("no plans are needed: the backend is o")
    assert engines == {"ActiveState": "active", "SubState": "exited"}
    guest.until(lambda: enabled.state() == "recognising", 90.0, enabled.why)
    shown = guest.run("systemctl", "list-dependencies", "--plain", "lfr.target")
    assert all(member in shown for member in MEMBERS)
    guest.until(lambda: self_test(guest) != "activating", 240.0, enabled.why)
    assert self_test(guest) == "active", "\n".join(guest.journal("lfr-selftest"))
    assert " ok, " in guest.show("lfr-selftest", "StatusText")["StatusText"]
    guest.run("systemctl", "stop", "lfr.service", within_s=60)
    guest.run("systemctl", "start", "lfr.target", within_s=60)
    assert guest.show("lfr", "ActiveState")["ActiveState"] == "active", "a member that was stopped starts again"
    guest.run("systemctl", "stop", "lfr.target", within_s=60)
    stopped = dict.fromkeys(MEMBERS, "inactive") | {"lfr-erase.timer": "active"}
    guest.until(lambda: {unit: guest.show(unit, "ActiveState")["ActiveState"] for unit in MEMBERS} == stopped, 30.0)


BUILD = """
import time
from calibration.cli.engines_command import _OfDevice
for step in range(6):
    _OfDevice().report(f"plan 1 of 1: step {step}", 5.0)
    time.sleep(1)
time.sleep(60)
"""


def test_a_build_of_plans_shows_its_steps_is_not_cut_short_and_is_ended_when_it_makes_none(board: Board) -> None:
    guest, place = board.guest, "/run/systemd/system/lfr-engines.service.d"
    (board.scratch / "build.py").write_text(BUILD)
    started = "ExecStart=\\nExecStart=/opt/lfr/.venv/bin/python /srv/host/build.py\\nTimeoutStartSec=3\\n"
    guest.run("sh", "-ec", f"mkdir -p {place}; printf '[Service]\\n{started}' >{place}/b.conf; systemctl daemon-reload")
    try:
        guest.run("systemctl", "start", "--no-block", "lfr-engines")
        guest.until(lambda: "step 5" in guest.show("lfr-engines", "StatusText")["StatusText"], 30.0)
        assert guest.show("lfr-engines", "ActiveState")["ActiveState"] == "activating"
        guest.until(lambda: guest.show("lfr-engines", "ActiveState")["ActiveState"] == "failed", 20.0)
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
    errors = guest.run("journalctl", "--unit=lfr-selftest", "--priority=3", "--output=cat", "--no-pager")
    assert errors.startswith("FAIL model ")
    assert "ok  " not in errors


def test_a_device_that_ends_for_good_is_said_to_with_the_commands_that_help(board: Board) -> None:
    guest = board.guest
    fast = CRASH + "[Unit]\\nStartLimitBurst=4\\n"
    guest.run("sh", "-ec", f'mkdir -p {DROP_IN}; printf "{fast}" >{DROP_IN}/crash.conf; systemctl daemon-reload')
    try:
        begun = time.monotonic()
        guest.run("systemctl", "start", "lfr", check=False)
        guest.until(lambda: guest.show("lfr-failed", "ActiveState")["ActiveState"] == "active", 30.0, board.why)
        assert time.monotonic() - begun < 20.0
        told = guest.show("lfr", "ActiveState", "Result", "NRestarts")
        text = guest.show("lfr-failed", "StatusText")["StatusText"]
        errors = guest.run("journalctl", "--unit=lfr-failed", "--priority=2", "--output=cat", "--no-pager")
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
    assert guest.show("lfr-failed", "ActiveState")["ActiveState"] == "inactive", "it is over with the next start"
    guest.run("systemctl", "stop", "lfr", within_s=60)
