"""Programs of a slot that the updater runs, as the service's user: its self-test, its plans for this board's GPU.

1. Each is a process of that slot; nothing of a slot is imported here, and nothing of it is run as root.
2. A build of plans takes minutes to hours. Every second `go_on` is asked; when it raises, the process is killed.
   Plans that were finished stay, and the next build goes on with the others.
3. By its exit status a program states the cause (device/errors.py): 69 and 75 are passing ones, and so are a signal
   (the kernel's when memory runs out) and a time limit.
"""

from __future__ import annotations

import os
import pwd
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any, Protocol

from device.update.verdict import GOOD, Verdict

SERVICE_USER = "lfr"
SELF_TEST_WITHIN_S = 900.0
BUILD_WITHIN_S = 4 * 3600.0  # a plan has half an hour (engines/plan_build.py)
PRUNE_WITHIN_S = 120.0
POLL_S = 1.0
GoOn = Callable[[], None]


class SlotPrograms(Protocol):
    """Raises what `go_on` raises."""

    def build_plans(self, slot: Path, go_on: GoOn) -> Verdict:
        """Build the plans that this slot's models need here and that are not there; none on a CPU."""
        ...

    def self_test(self, slot: Path) -> Verdict:
        """Whether the slot works on this machine."""
        ...

    def prune_plans(self, slot: Path, keep: list[str]) -> None:
        """Delete the plans that none of these releases uses; a failure changes nothing else."""
        ...


@dataclass(frozen=True, slots=True)
class InstalledPrograms:
    """Of this machine. config: the device's configuration. user: who runs them when this process is root's."""

    config: Path
    user: str = SERVICE_USER

    def build_plans(self, slot: Path, go_on: GoOn) -> Verdict:
        words = ("engines", "build", "--config", str(self.config))
        return self._run(slot, words, BUILD_WITHIN_S, go_on)

    def self_test(self, slot: Path) -> Verdict:
        return self._run(slot, ("update", "self-test", "--config", str(self.config)), SELF_TEST_WITHIN_S)

    def prune_plans(self, slot: Path, keep: list[str]) -> None:
        versions = [word for version in keep for word in ("--keep", version)]
        self._run(slot, ("engines", "prune", *versions), PRUNE_WITHIN_S)

    def _run(self, slot: Path, words: tuple[str, ...], within_s: float, go_on: GoOn = lambda: None) -> Verdict:
        who: dict[str, Any] = {}
        if os.geteuid() == 0:
            try:
                account = pwd.getpwnam(self.user)
            except KeyError:
                return Verdict(f"there is no user {self.user} to run it as, and it is not run as root")
            groups = os.getgrouplist(self.user, account.pw_gid)
            who = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": groups}
        command = [str(slot / "bin/python"), "-I", "-m", "device.cli.main", *words]
        settings = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LFR_CACHE": os.environ.get("LFR_CACHE", "/var/cache/lfr")}
        with tempfile.TemporaryFile() as errors:
            try:
                process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=errors,
                    env=settings,
                    cwd="/",
                    start_new_session=True,
                    **who,
                )
            except OSError as fault:
                return Verdict(str(fault), passing=fault.errno != 2)
            try:
                late = _wait(process, monotonic() + within_s, go_on)
            finally:
                if process.poll() is None:
                    process.kill()
                    process.wait()
            return _verdict(process.returncode, late, within_s, _last_line(errors))


def _wait(process: subprocess.Popen[bytes], until_s: float, go_on: GoOn) -> bool:
    """Until it has ended; whether it is still there after its time (rule 2)."""
    while monotonic() < until_s:
        try:
            process.wait(POLL_S)
        except subprocess.TimeoutExpired:
            go_on()
        else:
            return False
    return True


def _verdict(status: int, late: bool, within_s: float, line: str) -> Verdict:
    """Rule 3."""
    if late:
        return Verdict(f"it did not end within {within_s:.0f} s", passing=True)
    if status == 0:
        return GOOD
    if status < 0:
        return Verdict(f"it was ended by signal {-status}{f': {line}' if line else ''}", passing=True)
    return Verdict(line or f"exit status {status}", passing=status in (os.EX_UNAVAILABLE, os.EX_TEMPFAIL))


def _last_line(errors: Any) -> str:
    errors.seek(0, os.SEEK_END)
    errors.seek(max(0, errors.tell() - 4096))
    lines = errors.read().decode("utf-8", "replace").strip().splitlines()
    return lines[-1] if lines else ""
