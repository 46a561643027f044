"""Bare root file systems, and a flashed one booted as a board would be: its own disk, no network, a stick.

1. A bare root is made once by mmdebstrap of this machine's own release, with nothing that a device needs but Python and
   systemd, and kept under the cache. Another one, of Ubuntu for instance, is tested with LFR_FLASH_ROOT=DIR.
   LFR_GUEST_RELEASE chooses another release of Debian (roots.py), LFR_FLASH_ROOT=like:ubuntu-24.04 a stand-in.
2. The distribution's packages that a kit brings are chosen by apt against the root's own dpkg status, from the root's
   own sources where it is of another release.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from engines.places import cache_dir
from tests.system.guest import CLEAN
from tests.system.nsenter import run_inside
from tests.system.roots import make_root, release
from tests.system.stand_ins import made, stand_in_of, systemd_wheel
from tools.dev.gate.system_packages import SYSTEMD_NSPAWN, provide

PACKAGES = "systemd,systemd-sysv,dbus,udev,python3"
NEEDED = ("python3-systemd", "chrony")
GIVEN = "LFR_FLASH_ROOT"
UP = ("starting", "running", "degraded")


def bare_root(architecture: str = "amd64") -> Path:
    """A bare root file system (rule 1)."""
    given = os.environ.get(GIVEN, "") if architecture == "amd64" else ""
    if which := stand_in_of(given):
        base = make_root(f"bare-{which.base}-{architecture}", PACKAGES, of=which.base, architecture=architecture)
        return made(which, base)
    if given:
        return Path(given)
    return make_root(f"bare-{release()}-{architecture}", PACKAGES, of=release(), architecture=architecture)


def wheels_for() -> tuple[Path, ...]:
    """Wheels that were built for the root's Python, where the distribution's packages are for another one."""
    which = stand_in_of(os.environ.get(GIVEN, ""))
    return () if which is None else (systemd_wheel(which),)


def other_release(root: Path) -> bool:
    """Whether a root's packages are of another release than this machine's."""
    dpkg = (root / "etc/debian_version").read_text(encoding="utf-8").partition(".")[0].strip()
    return dpkg != Path("/etc/debian_version").read_text(encoding="utf-8").partition(".")[0].strip()


def packages_for(root: Path, folder: Path, architecture: str = "amd64") -> Path:
    """The packages of NEEDED and their dependencies that a root lacks, as .deb files in `folder` (rule 2)."""
    which = stand_in_of(os.environ.get(GIVEN, ""))
    wanted = [name for name in NEEDED if which is None or not name.startswith("python3-")]
    folder.mkdir()
    lists = folder.parent / "apt"
    for name in ("state/lists/partial", "cache/archives/partial"):
        (lists / name).mkdir(parents=True)
    settings: tuple[str, ...] = (
        f"Dir::State={lists / 'state'}",
        f"Dir::Cache={lists / 'cache'}",
        f"Dir::State::status={root / 'var/lib/dpkg/status'}",
        "APT::Sandbox::User=root",
        f"APT::Architecture={architecture}",
        f"APT::Architectures={architecture}",
    )
    if other_release(root):
        sources = f"Dir::Etc::sourcelist={root / 'etc/apt/sources.list'}"
        settings += (sources, f"Dir::Etc::sourceparts={root / 'etc/apt/sources.list.d'}")
    options = ["-qq", *(f"--option={setting}" for setting in settings)]
    # Not checked: a source of this machine may lack the processor; then the download fails.
    subprocess.run(["apt-get", *options, "update"], capture_output=True, check=False)
    command = ["apt-get", *options, "-s", "--no-install-recommends", "install", *wanted]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    names = [line.split()[1] for line in done.stdout.splitlines() if line.startswith("Inst ")]
    subprocess.run(["apt-get", *options, "download", *names], cwd=folder, capture_output=True, check=True)
    return folder


class Booted:
    """A flashed root file system, booted with no network of any kind but its loopback."""

    def __init__(self, root: Path, kit: Path, scratch: Path) -> None:
        self._console = scratch / f"console-{time.monotonic_ns()}.log"
        command = (
            str(provide(SYSTEMD_NSPAWN, cache_dir())),
            "--quiet",
            "--boot",
            f"--directory={root}",
            f"--machine=lfr-flash-{os.getpid()}",
            "--register=no",
            "--keep-unit",
            "--console=pipe",
            "--private-network",
            f"--bind={kit}:/media/kit",
        )
        with self._console.open("w") as console:
            self._nspawn = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=console, stderr=subprocess.STDOUT, env={**os.environ, **CLEAN}
            )
        try:
            self.until(lambda: self._leader() != "", 90.0, self._output)
            self.until(lambda: self.run("systemctl", "is-system-running") in UP, 180.0, self._output)
        except BaseException:
            self.close()
            raise

    def _leader(self) -> str:
        """Its first process, by the host's process ids; nspawn's own first child, which precedes it, ends at once."""
        children = Path(f"/proc/{self._nspawn.pid}/task/{self._nspawn.pid}/children")
        return ["", *children.read_text().split()][-1]

    def _output(self) -> str:
        return self._console.read_text(errors="replace")[-1500:]

    def run(self, *command: str, check: bool = False, within_s: float = 180.0) -> str:
        """A command's output, as root in there; with `check` RuntimeError when it fails."""
        path = {**CLEAN, "PATH": f"/usr/local/bin:{CLEAN['PATH']}"}
        done = run_inside(self._leader(), command, path, check=check, within_s=within_s)
        return done.stdout.strip()

    def until(self, what: Callable[[], bool], within_s: float, why: Callable[[], str] = str) -> None:
        """Wait for a condition. TimeoutError gives the reason."""
        begun = time.monotonic()
        while not what():
            if self._nspawn.poll() is not None:
                raise RuntimeError(f"the machine is gone: {self._output()}")
            if time.monotonic() - begun > within_s:
                raise TimeoutError(f"not within {within_s:.0f} s: {why()}")
            time.sleep(0.2)

    def until_active(self, unit: str, within_s: float) -> None:
        """Wait for a unit."""
        self.until(
            lambda: self.run("systemctl", "is-active", unit) == "active",
            within_s,
            lambda: self.run("systemctl", "status", "--no-pager", "--lines=30", unit),
        )

    def until_shown(self, unit: str, name: str, begins: str) -> None:
        """Wait until a property of a unit begins so: a status line may come a moment after READY=1."""
        self.until(lambda: self.show(unit, name).startswith(begins), 90.0, lambda: self.show(unit, name))

    def show(self, unit: str, name: str) -> str:
        return self.run("systemctl", "show", "--value", f"--property={name}", unit)

    def pull_the_plug(self) -> None:
        """Every process ends at once; nothing is stopped in order."""
        leader = self._leader()
        if leader:
            os.kill(int(leader), signal.SIGKILL)
        self._nspawn.wait(timeout=30)

    def close(self) -> None:
        """Switch it off."""
        try:
            if self._nspawn.poll() is None:
                self.run("systemctl", "poweroff", within_s=10)
            self._nspawn.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self._nspawn.kill()
            self._nspawn.wait()


def command(*words: str | Path) -> Sequence[str]:
    """`lfr` of this checkout, for subprocess."""
    import sys

    return [sys.executable, "-m", "device.cli.main", *(str(word) for word in words)]
