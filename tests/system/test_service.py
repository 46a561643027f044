"""The units on a booted systemd: started, watched, confined, stopped in order, and erasing without the supervisor."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from tests.system.conftest import PATIENT, Board

pytestmark = pytest.mark.system
TIMER_S = 60.0  # lfr-erase.timer
WINDOWS_S = (60.0, 180.0, 420.0)
DOWN = "/run/systemd/system/lfr.service.d"  # as if the supervisor died for good: systemd does not start it again


def place_of(words: str, lines: list[str]) -> int:
    """Number of the first line that has all the words; the test fails with the lines when none has."""
    for number, line in enumerate(lines):
        if all(word in line for word in words.split()):
            return number
    raise AssertionError(f"no line has {words!r} in:\n" + "\n".join(lines))


@pytest.fixture
def shipped_watchdog(board: Board) -> Iterator[None]:
    """The watchdog as it is in the unit."""
    board.guest.run("sh", "-ec", f"mv {PATIENT} /srv/patient; systemctl daemon-reload")
    yield
    make_patient(board)


def make_patient(board: Board) -> None:
    """The longer watchdog again."""
    board.guest.run("sh", "-ec", f"[ ! -e /srv/patient ] || mv /srv/patient {PATIENT}; systemctl daemon-reload")


@pytest.fixture
def running(board: Board) -> Iterator[Board]:
    """The board with the service recognising; stopped afterwards."""
    board.publish()
    board.start()
    yield board
    board.guest.run("systemctl", "stop", "lfr")


def test_the_service_reports_ready_and_keeps_its_status_line(shipped_watchdog: None, running: Board) -> None:
    reported = running.guest.show("lfr", "ActiveState", "Type", "WatchdogUSec")
    assert reported["ActiveState"] == "active"
    running.until_line("recognising")
    assert reported["Type"] == "notify"
    assert float(reported["WatchdogUSec"].removesuffix("s")) == 1.5


def test_the_hardening_holds_in_the_running_process(running: Board) -> None:
    pid = str(running.main_pid())
    status = running.guest.run("cat", f"/proc/{pid}/status")
    facts = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    user = running.guest.run("id", "-u", "lfr").strip()
    assert facts["Uid"].split() == [user] * 4
    assert (facts["NoNewPrivs"], facts["Seccomp"]) == ("1", "2")
    assert set(facts["CapEff"]) == set(facts["CapPrm"]) == set(facts["CapBnd"]) == {"0"}
    limits = running.guest.run("cat", f"/proc/{pid}/limits")
    assert "Max core file size        0                    0" in limits
    as_the_service = ("nsenter", "-t", pid, "-m", "-S", user, "-G", user)
    for place in ("/etc/lfr/x", "/usr/x", "/opt/lfr/x", "/var/x", "/home/x"):
        assert running.guest.status_of(*as_the_service, "touch", place) != 0, place
    assert running.guest.status_of(*as_the_service, "touch", "/var/lib/lfr/x") == 0
    assert running.guest.status_of(*as_the_service, "touch", "/run/lfr/x") == 0
    assert running.guest.status_of(*as_the_service, "dd", "if=/dev/kmsg", "count=1") != 0


def test_a_supervisor_that_hangs_is_killed_and_starts_again(shipped_watchdog: None, running: Board) -> None:
    guest, before = running.guest, running.main_pid()
    restarts = guest.show("lfr", "NRestarts")["NRestarts"]
    stopped = time.time()
    guest.run("kill", "-STOP", str(before))
    guest.until(lambda: guest.show("lfr", "NRestarts")["NRestarts"] != restarts, why=running.why)
    make_patient(running)  # what comes now is no test of the watchdog
    running.until_recognising()
    assert running.main_pid() != before
    assert place_of("Watchdog timeout", guest.journal("lfr")) >= 0
    assert guest.status_of("test", "-d", f"/proc/{before}") != 0
    life = guest.journal("lfr")
    life = life[place_of("Watchdog timeout", life) :]
    assert place_of("worker.prepared", life) < place_of("deployment.loaded", life) < place_of("worker.started", life)
    sys.stdout.write(phases(guest, stopped))


def phases(guest: Any, stopped: float) -> str:
    """Seconds from SIGSTOP to the first line of each step in the journal: how long recognition was away."""
    steps = ("Watchdog timeout", "worker.prepared", "deployment.loaded", "now=armed", "now=recognising")
    kept = ("--output=json", "--output-fields=MESSAGE", f"--since=@{stopped:.3f}")
    lines = [json.loads(line) for line in guest.journal("lfr", *kept)]
    found = []
    for step in steps:
        at = [int(line["__REALTIME_TIMESTAMP"]) / 1e6 for line in lines if step in str(line["MESSAGE"])]
        found.append(f"{at[0] - stopped:.1f} s {step}" if at else f"no line {step}")
    return "hang: " + ", ".join(found) + "\n"


def test_a_stop_ends_the_worker_first_and_the_sign_after_it(board: Board) -> None:
    board.publish()
    board.start()
    begun = len(board.guest.journal("lfr"))
    board.guest.run("systemctl", "stop", "lfr")  # after TimeoutStopSec the result would be `timeout`
    output = board.guest.journal("lfr")[begun:]
    assert place_of("worker.ended", output) < place_of("sign.switched lit=False", output)
    assert board.guest.show("lfr", "Result", "ActiveState") == {"Result": "success", "ActiveState": "inactive"}
    assert board.lists() == []
    verdict = json.loads(board.guest.run("/opt/lfr/.venv/bin/lfr", "audit", "verify", "--json"))
    assert verdict["ok"], verdict
    assert verdict["unsigned_tail"] == 0


def test_a_mistake_in_the_configuration_is_not_tried_again(board: Board) -> None:
    board.guest.run("sh", "-c", "cp -a /etc/lfr/device.yaml /tmp/good; echo 'colour: blue' >> /etc/lfr/device.yaml")
    try:
        board.guest.run("systemctl", "start", "lfr", check=False)
        board.guest.until(lambda: board.guest.show("lfr", "ActiveState")["ActiveState"] == "failed", why=board.why)
        time.sleep(3)  # RestartSec is 50 ms: had it been tried again, it would be by now
        reported = board.guest.show("lfr", "ActiveState", "ExecMainStatus", "NRestarts")
        assert (reported["ActiveState"], reported["ExecMainStatus"], reported["NRestarts"]) == ("failed", "78", "0")
    finally:
        board.guest.run("sh", "-c", "cp -a /tmp/good /etc/lfr/device.yaml; systemctl reset-failed lfr")


def killed_within_its_window(board: Board) -> float:
    """Kill a device that recognises, while its deployment's window is open: seconds of that window.

    A busy machine may not get so far in a minute; then a longer window is published, and so on.
    """
    guest = board.guest
    for window_s in WINDOWS_S:
        ends = time.monotonic() + window_s  # the window ends later, since publishing takes time
        board.publish(ends_in=timedelta(seconds=window_s), alert_hours=0)
        guest.run("systemctl", "reset-failed", "lfr", check=False)
        guest.run("systemctl", "start", "lfr")
        guest.until(lambda: board.state() == "recognising" or time.monotonic() > ends, 2 * window_s)
        guest.run("systemctl", "kill", "--signal=KILL", "lfr", check=False)
        down = ("failed", "inactive")
        guest.until(lambda: guest.show("lfr", "ActiveState")["ActiveState"] in down, why=board.why)
        guest.run("systemctl", "start", "lfr-erase.timer")
        guest.run("systemctl", "start", "lfr-erase.service")
        left = board.lists()
        if time.monotonic() < ends:
            assert len(left) == 1, "its time has not come"
            return window_s
    raise AssertionError(f"no device was recognising within {WINDOWS_S[-1]:g} s: {board.why()}")


def test_the_timer_erases_what_a_killed_supervisor_left_though_the_service_stays_down(board: Board) -> None:
    guest = board.guest
    guest.run(
        "sh", "-ec", f"mkdir -p {DOWN}; printf '[Service]\\nRestart=no\\n' >{DOWN}/down.conf; systemctl daemon-reload"
    )
    try:
        window_s = killed_within_its_window(board)
        guest.until(lambda: board.lists() == [], window_s + TIMER_S + 60.0, lambda: output(guest))
        guest.until(lambda: guest.show("lfr-erase", "ActiveState")["ActiveState"] == "inactive", why=board.why)
        assert guest.show("lfr", "MainPID")["MainPID"] == "0"
        assert guest.show("lfr-erase", "Result")["Result"] == "success"
        receipts = guest.run("sh", "-c", "cat /var/lib/lfr/erase/*.receipt.json")
        assert json.loads(receipts)["reason"] == "expiry"
    finally:
        guest.run("sh", "-ec", f"rm -r {DOWN}; systemctl daemon-reload")
    begun = len(guest.journal("lfr"))
    guest.run("systemctl", "reset-failed", "lfr", check=False)
    guest.run("systemctl", "start", "lfr")
    guest.until(lambda: any("eraser.receipt" in line for line in guest.journal("lfr")[begun:]), why=board.why)
    guest.run("systemctl", "stop", "lfr")
    log = guest.run("cat", "/var/lib/lfr/audit/audit.jsonl")
    assert '"what_gone":"watchlist"' in log
    assert guest.status_of("/opt/lfr/.venv/bin/lfr", "audit", "verify") == 0


def output(guest: Any) -> str:
    """What the eraser has logged."""
    return "\n".join(guest.journal("lfr-erase")[-20:])


def test_the_eraser_can_write_nowhere_else_and_reach_nobody(board: Board) -> None:
    guest = board.guest
    reported = guest.show("lfr-erase", "PrivateNetwork", "ProtectSystem", "User", "NoNewPrivileges")
    assert reported == {"PrivateNetwork": "yes", "ProtectSystem": "strict", "User": "lfr", "NoNewPrivileges": "yes"}
    guest.run("systemctl", "start", "lfr-erase.service")
    assert guest.show("lfr-erase", "Result", "ExecMainStatus") == {"Result": "success", "ExecMainStatus": "0"}


CLAIM = """
from pathlib import Path
from device.config.model import GpioConfig
from device.edges.gpio import gpiozero_gpio, jetson_header
jetson_header.DEVICE_TREE = Path("/srv/host/compatible")
gpiozero_gpio.GpiozeroGpio(GpioConfig(driver="gpiozero", sign="BOARD31", sign_sense="BOARD33", stop="BOARD29"))
"""


def test_lines_are_claimed_from_under_the_unit_as_far_as_there_is_no_chip(board: Board) -> None:
    guest = board.guest
    (board.scratch / "compatible").write_bytes(b"nvidia,p3768-0000+p3767-0005\0nvidia,tegra234\0")
    (board.scratch / "claim.py").write_text(CLAIM)
    other = (
        "[Service]\\nType=oneshot\\nRestart=no\\nExecStart=\\nExecStart=/opt/lfr/.venv/bin/python /srv/host/claim.py\\n"
    )
    guest.run("sh", "-ec", f"mkdir -p {DOWN}; printf '{other}' >{DOWN}/claim.conf; systemctl daemon-reload")
    try:
        begun = len(guest.journal("lfr"))
        guest.run("systemctl", "start", "lfr", check=False)
        output = guest.journal("lfr")[begun:]
    finally:
        guest.run("sh", "-ec", f"rm -r {DOWN}; systemctl daemon-reload; systemctl reset-failed lfr")
    assert place_of("GpioUnavailable no GPIO chip labelled tegra234-gpio", output) >= 0
    assert not [line for line in output if "lgd-nfy" in line], "lgpio wants to write where it was started"
