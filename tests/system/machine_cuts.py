"""Power cuts of a whole machine, which loses what it had not flushed: `python -m tests.system.machine_cuts --cuts 20`.

A machine in QEMU with an ext4 file system on a lossy disk (lossy_disk.py) writes outbox, audit log and slots of updates
(inside/cut_life.py) until its power fails at a random moment; at the next boot it checks what was promised. At the end
comes a disk that lies about its flushes: the same check must find what is missing.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path

from tests.system import emulated_parts, guest
from tests.system.emulated import CHANGING, ROOT, Emulated
from tests.system.lossy_disk import LossyDisk
from tests.system.whole_machine import WholeMachine, seen

NEEDED = ("virtio", "9p", "netfs", "fscache", "overlay", "configfs", "jbd2", "mbcache", "crc", "ext4")
DISK_MB = 256
PHASES = ("keeping", "erasing", "row", "begin")
"""Promises after which the power is cut: an alert is being stored or erased, rows are written, a release installed."""
MOMENT_S = 0.8
LIFE = "tests/system/inside/cut_life.py"
FIRST = """
mkdir -p /whole/disk && mount -t ext4 /dev/vda /whole/disk || exit
export PYTHONPATH={root} PYTHONDONTWRITEBYTECODE=1
chroot /whole {python} {root}/{life} /disk {scratch} >>/whole{scratch}/output 2>&1
"""
assert "cache=" not in CHANGING, "promises are on the host when the guest's write returns"


@dataclass
class Cuts:
    """What was done and found. phases: what a cut came into; lost: writes that the disk had not been asked to flush."""

    phases: Counter[str] = field(default_factory=Counter)
    lost: list[int] = field(default_factory=list)
    findings: list[str] = field(default_factory=list)
    control: str = ""


def play(folder: Path, cuts: int, seed: int) -> Cuts:
    """That many cuts, a last check, and the control."""
    chance, done = random.Random(seed), Cuts()
    parts = emulated_parts.parts()
    parts = replace(parts, modules=tuple(m for m in parts.modules if m.stem.startswith(NEEDED)))
    disk = LossyDisk(folder, DISK_MB)
    for _ in range(cuts):
        machine = _boot(parts, folder, disk)
        rows = _checked(machine, folder, done)
        _until(machine, folder, rows + chance.randrange(2, 20))
        _until_phase(machine, folder, chance.choice(PHASES))
        time.sleep(chance.uniform(0.0, MOMENT_S))
        machine.cut()
        done.phases[_phase(folder)] += 1
        done.lost.append(disk.power_fails(chance, kept=chance.choice((0.0, 0.5)))[1])
    machine = _boot(parts, folder, disk)
    rows = _checked(machine, folder, done)
    _until(machine, folder, rows + 30)
    machine.cut()
    disk.forget_all()
    before = len(done.findings)
    machine = _boot(parts, folder, disk)
    _checked(machine, folder, done)
    machine.cut()
    done.findings, done.control = done.findings[:before], "; ".join(done.findings[before:])
    return done


def _boot(parts: emulated_parts.Parts, folder: Path, disk: LossyDisk) -> WholeMachine:
    (folder / "progress").unlink(missing_ok=True)
    words = {"root": ROOT, "python": sys.executable, "life": LIFE, "scratch": folder}
    return WholeMachine(Emulated(parts, guest.root_file_system(), folder), FIRST.format(**words), disk.options())


def _checked(machine: WholeMachine, folder: Path, done: Cuts) -> int:
    """Wait for the check of this boot; how many promises there are."""
    machine.until(lambda: (folder / "progress").exists() and bool(seen(folder / "progress")))
    done.findings = seen(folder / "findings").splitlines()
    return _rows(folder)


def _until(machine: WholeMachine, folder: Path, rows: int) -> None:
    """Wait for that many promises."""
    machine.until(lambda: _rows(folder) >= rows)


def _until_phase(machine: WholeMachine, folder: Path, phase: str) -> None:
    """Wait for the next promise of this kind."""
    seen_already = _count(folder, phase)
    machine.until(lambda: _count(folder, phase) > seen_already)


def _count(folder: Path, phase: str) -> int:
    return sum(row.split()[0] == phase for row in seen(folder / "promises").splitlines())


def _rows(folder: Path) -> int:
    return len(seen(folder / "promises").splitlines())


def _phase(folder: Path) -> str:
    """What was being done at the cut, by the last line."""
    return seen(folder / "promises").splitlines()[-1].split()[0]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cuts", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="lfr-cuts-") as place:
        done = play(Path(place), given.cuts, given.seed)
    rows = (
        f"{sum(done.phases.values())} cuts, by the last promise before them: {dict(done.phases)}",
        f"unflushed writes lost: {done.lost}",
        f"findings: {done.findings or 'none'}",
        f"a disk that lies is found out by: {done.control or 'NOTHING'}",
    )
    sys.stdout.write("\n".join(rows) + "\n")
    return 1 if done.findings or not done.control else 0


if __name__ == "__main__":
    sys.exit(main())
