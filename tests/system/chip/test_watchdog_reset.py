"""The hardware watchdog resets a machine whose first process hangs, and the next start says so.

A machine in QEMU with an emulated Intel 6300ESB boots systemd with lfr-watchdog.conf, and twice its time, since an
emulated machine may stand still beside other work. A service is stopped (SIGSTOP) and the first process crashes, after
which systemd freezes and feeds nothing: only a reset is left.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.system import emulated_parts, guest
from tests.system.conftest import EmulatedMachines
from tests.system.emulated import Emulated
from tests.system.whole_machine import WATCHDOG, WholeMachine, seen

pytestmark = pytest.mark.system
ROOT = Path(__file__).parents[3]
NEEDED = ("virtio", "9p", "netfs", "fscache", "overlay", "configfs", "watchdog", "i6300esb")
SYSTEMD = """
units=/whole/etc/systemd/system
cp {scratch}/probe.service {scratch}/supervisor.service $units/
mkdir -p /whole/etc/systemd/system.conf.d && cd /whole/etc/systemd/system.conf.d || exit
cp {root}/systemd/lfr-watchdog.conf 50-lfr-watchdog.conf
printf '[Manager]\\nRuntimeWatchdogSec=60\\n' >60-patient.conf
cd /
exec switch_root /whole /lib/systemd/systemd --unit=probe.service
"""
"""The shared folders are read below /whole, where they were mounted."""
SUPERVISOR = """[Unit]
Description=a service that the first process watches
[Service]
Type=notify
NotifyAccess=all
WatchdogSec=60
Restart=always
ExecStart=/bin/sh {scratch}/supervisor.sh
"""
BEATS = "systemd-notify --ready; while :; do systemd-notify WATCHDOG=1; date >>{scratch}/beats; sleep 1; done"
PROBE = """[Unit]
Description=the test's side
Wants=supervisor.service
After=supervisor.service
[Service]
Type=oneshot
TimeoutStartSec=infinity
ExecStart=/bin/sh {scratch}/probe.sh
"""
INSIDE = """
export PYTHONPATH={root} PYTHONDONTWRITEBYTECODE=1
echo boot >>{scratch}/boots
boot=$(wc -l <{scratch}/boots)
{python} -c '
import json
from device.cli.doctor import health
found = [*health.hardware_watchdog(on_board=True), *health.last_start()]
print(json.dumps([[one.level, one.text] for one in found]))' >{scratch}/doctor-$boot.new 2>&1
mv {scratch}/doctor-$boot.new {scratch}/doctor-$boot
[ $boot = 1 ] || exec systemctl poweroff --force --force
kill -STOP $(systemctl show --value --property=MainPID supervisor)
wc -l <{scratch}/beats >{scratch}/stopped
kill -SEGV 1
"""


@pytest.fixture
def machine(tmp_path: Path, emulated: EmulatedMachines) -> Iterator[WholeMachine]:
    """Booting, with the files above in its shared folder."""
    if reason := emulated.cannot():
        pytest.skip(reason)
    parts = emulated_parts.parts()
    parts = replace(parts, modules=tuple(m for m in parts.modules if m.stem.startswith(NEEDED)))
    words = {"scratch": tmp_path, "root": ROOT, "python": sys.executable}
    files = {"supervisor.service": SUPERVISOR, "supervisor.sh": BEATS, "probe.service": PROBE, "probe.sh": INSIDE}
    for name, text in files.items():
        (tmp_path / name).write_text(text.format(**words))
    first = SYSTEMD.format(scratch=f"/whole{tmp_path}", root=f"/whole{ROOT}")
    started = WholeMachine(Emulated(parts, guest.root_file_system(), tmp_path), first, WATCHDOG)
    yield started
    started.cut()


def test_a_machine_whose_first_process_hangs_is_reset_and_says_so_after_it(
    machine: WholeMachine, tmp_path: Path
) -> None:
    machine.until(lambda: (tmp_path / "stopped").exists())
    before = json.loads(seen(tmp_path / "doctor-1"))
    assert before == [
        ["ok", "i6300ESB timer: resets after 60 s"],
        ["ok", "no watchdog states that it reset this machine"],
    ]
    machine.until(lambda: (tmp_path / "doctor-2").exists())
    after = json.loads(seen(tmp_path / "doctor-2"))
    assert after == [["ok", "i6300ESB timer: resets after 60 s"], ["warn", "reset by i6300ESB timer"]]
    machine.until_off()
    assert seen(tmp_path / "boots").split() == ["boot", "boot"]
    assert len(seen(tmp_path / "beats").splitlines()) > int(seen(tmp_path / "stopped")), "it does not run again"
    assert "watchdog did not stop" in machine.console(), (
        "the first process let go of the watchdog, and did not switch it off"
    )
