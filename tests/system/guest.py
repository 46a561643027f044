"""A Debian machine with systemd as its first process, in systemd-nspawn: booted in a second, discarded afterwards.

1. The root file system is made once (roots.py; LFR_GUEST_RELEASE chooses its release); a boot sees it through an
   overlay in memory, so that nothing a test does is kept.
2. It has no network but its own loopback. The program, its packages and its Python are bound in, read-only.
3. Root is needed, and a system with apt. Where that is missing the tests are skipped with the reason; everything that
   goes wrong after that is a failure.
4. journald takes entries in its own time. `journal` first has it store all that was sent before, so that an entry can
   be looked for right after the event that it follows.
5. `until` bounds hanging, also under a load of 15 on two cores: its limits are no promises of the product.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable
from pathlib import Path

from engines.places import cache_dir
from tests.system.nsenter import run_inside
from tests.system.roots import SYSTEM_PACKAGES, make_root, notifier, own_release, release
from tools.dev.gate.system_packages import SYSTEMD_NSPAWN, provide

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = "systemd,systemd-sysv,dbus,python3,python3-systemd,mosquitto,procps,libgomp1"
WITHIN_S = 180.0
COMMAND_S = 180.0
PYTHON = f"python{sys.version_info[0]}.{sys.version_info[1]}"
NOTIFIER = "/opt/lfr/notifier"
CLEAN = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}


def cannot() -> str:
    """Why no machine can be booted here; empty when one can."""
    if os.geteuid() != 0:
        return "needs root: systemd-nspawn and mmdebstrap make a machine of their own"
    if shutil.which("apt-get") is None:
        return "needs a Debian or an Ubuntu: the machine is made of its packages"
    return ""


def root_file_system() -> Path:
    """The root file system of the cache, made if it is not there (rule 1)."""
    return make_root(release(), PACKAGES, of=release())


class Guest:
    """A booted machine. `run` runs a command in it as root; `scratch` is seen there as /srv/host."""

    def __init__(self, scratch: Path) -> None:
        self._console = scratch / "console.log"
        binds = [f"{ROOT}:/opt/lfr/source", f"{scratch}:/srv/host", f"{_packages()}:/opt/lfr/packages/site-packages"]
        if sys.base_prefix != "/usr":
            binds.append(f"{sys.base_prefix}:/opt/python")
        if release() != own_release():
            binds.append(f"{notifier()}:{NOTIFIER}")
        command = (
            str(provide(SYSTEMD_NSPAWN, cache_dir())),
            "--quiet",
            "--boot",
            f"--directory={root_file_system()}",
            "--volatile=overlay",
            f"--machine=lfr-test-{os.getpid()}",
            "--register=no",
            "--keep-unit",
            "--console=pipe",
            "--private-network",
            *(f"--bind-ro={bind}" for bind in binds),
        )
        with self._console.open("w") as console:
            self._nspawn = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=console, stderr=subprocess.STDOUT, env={**os.environ, **CLEAN}
            )
        try:
            self.until(lambda: bool(self._leader), why=self._output)
            self.until(lambda: self.run("systemctl", "is-system-running", check=False).strip() in UP, why=self._output)
        except BaseException:
            self.close()
            raise

    def run(self, *command: str, check: bool = True, within_s: float = COMMAND_S) -> str:
        """A command's output; RuntimeError with it when the command fails and `check` is set."""
        done = run_inside(self._leader, command, CLEAN, check=check, within_s=within_s)
        return done.stdout if check else done.stdout + done.stderr

    def status_of(self, *command: str) -> int:
        """A command's exit status."""
        return int(self.run("sh", "-c", '"$@" >/dev/null 2>&1; echo $?', "sh", *command).split()[-1])

    @property
    def root(self) -> Path:
        """Its file system, at a path of the host."""
        return Path(f"/proc/{self._leader}/root")

    def show(self, unit: str, *names: str) -> dict[str, str]:
        """Properties of a unit."""
        said = self.run("systemctl", "show", unit, *(f"--property={name}" for name in names))
        return {line.partition("=")[0]: line.partition("=")[2] for line in said.splitlines() if "=" in line}

    def journal(self, unit: str, *options: str) -> list[str]:
        """What a unit has logged until now, in order; journalctl's options, its messages alone without any (rule 4)."""
        self.run("journalctl", "--sync")
        shown = options or ("--output=cat",)
        return self.run("journalctl", f"--unit={unit}", "--no-pager", *shown).splitlines()

    def until(self, what: Callable[[], bool], within_s: float = WITHIN_S, why: Callable[[], str] = str) -> float:
        """Wait for a condition; seconds that it took. TimeoutError gives the reason."""
        begun = time.monotonic()
        while not what():
            if self._nspawn.poll() is not None:
                raise RuntimeError(f"the machine is gone: {self._output()}")
            if time.monotonic() - begun > within_s:
                raise TimeoutError(f"not within {within_s:.0f} s: {why()}")
            time.sleep(0.2)
        return time.monotonic() - begun

    def close(self) -> None:
        """Switch the machine off; by force if it does not answer."""
        try:
            if self._nspawn.poll() is None:
                self.run("systemctl", "poweroff", check=False, within_s=10)
            self._nspawn.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self._nspawn.kill()
            self._nspawn.wait()

    @property
    def _leader(self) -> str:
        """The guest's first process, as the host counts; nspawn's own first child comes before it and ends at once."""
        children = Path(f"/proc/{self._nspawn.pid}/task/{self._nspawn.pid}/children")
        return ["", *children.read_text().split()][-1]

    def _output(self) -> str:
        return self._console.read_text(errors="replace")[-1500:]


UP = ("running", "degraded")


def environment(folder: Path) -> None:
    """A virtual environment as a board has it at /opt/lfr/.venv, over the packages and the Python that are bound in."""
    home = "/usr/bin" if sys.base_prefix == "/usr" else "/opt/python/bin"
    site = folder / "lib" / PYTHON / "site-packages"
    site.mkdir(parents=True)
    (folder / "bin").mkdir()
    (folder / "bin" / "python").symlink_to(f"{home}/{PYTHON}")
    (folder / "pyvenv.cfg").write_text(f"home = {home}\ninclude-system-site-packages = false\n")
    systemd = f"/{SYSTEM_PACKAGES}" if release() == own_release() else NOTIFIER
    (site / "lfr.pth").write_text(f"/opt/lfr/source\n/opt/lfr/packages/site-packages\n{systemd}\n")
    lfr = folder / "bin" / "lfr"
    lfr.write_text("#!/opt/lfr/.venv/bin/python\nimport sys\nfrom device.cli.main import main\nsys.exit(main())\n")
    lfr.chmod(0o755)


def _packages() -> Path:
    return Path(sysconfig.get_paths()["purelib"]).resolve()
