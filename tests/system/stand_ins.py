"""Stand-ins for Ubuntu's root file systems where they cannot be had: its name and its Python over Debian's programs.

LFR_FLASH_ROOT=like:ubuntu-24.04 pytest tests/system/test_flash.py      (like:ubuntu-22.04)

1. A stand-in is the bare root of the Debian release whose systemd and C library come closest, with Ubuntu's
   os-release(5) and, in the place of Debian's, the Python of that Ubuntu at /usr/bin and /usr/lib, copied from an
   interpreter of this machine (on PATH, or named by LFR_FLASH_PYTHON).
2. python3-systemd of Debian is for Debian's Python. The kit gets a wheel of systemd-python that this interpreter built
   (libsystemd's headers and a compiler are needed), as a kit for a board does by `--wheel`.
3. What it does not show: Ubuntu's own kernel, packages, netplan and settings, and its builds of systemd and Python.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from engines.places import cache_dir

LIKE = "like:"
PYTHON = "LFR_FLASH_PYTHON"
NOT_COPIED = shutil.ignore_patterns("site-packages", "test", "idlelib", "__pycache__", "config-3*", "lib2to3")
FACTS = """
import json, sys, sysconfig
library = sysconfig.get_config_var("LDLIBRARY") if sysconfig.get_config_var("Py_ENABLE_SHARED") else ""
print(json.dumps([sys.executable, sysconfig.get_path("stdlib"), sysconfig.get_config_var("LIBDIR"), library]))
"""


@dataclass(frozen=True, slots=True)
class StandIn:
    """base: code name of the Debian release; python: Ubuntu's."""

    version: str
    base: str
    python: str

    @property
    def os_release(self) -> str:
        """Ubuntu's os-release(5), in the lines that anything here reads."""
        name = f'PRETTY_NAME="Ubuntu {self.version} (stand-in)"'
        return f'{name}\nID=ubuntu\nID_LIKE=debian\nVERSION_ID="{self.version}"\n'


STAND_INS = {
    "ubuntu-22.04": StandIn("22.04", "bookworm", "3.10"),  # systemd 249, glibc 2.35; Debian 12: 252, 2.36
    "ubuntu-24.04": StandIn("24.04", "trixie", "3.12"),  # systemd 255, glibc 2.39; Debian 13: 257, 2.41
}


def stand_in_of(given: str) -> StandIn | None:
    """The stand-in that LFR_FLASH_ROOT names; None for a folder."""
    return STAND_INS[given.removeprefix(LIKE)] if given.startswith(LIKE) else None


def made(which: StandIn, bare: Path) -> Path:
    """The stand-in's root file system, made of a bare one if it is not there."""
    place = bare.with_name(f"{bare.name}-as-ubuntu-{which.version}")
    if place.is_dir():
        return place
    half = place.with_name(f"{place.name}.new")
    shutil.rmtree(half, ignore_errors=True)
    subprocess.run(["cp", "-a", "--reflink=auto", str(bare), str(half)], check=True)
    (half / "usr/lib/os-release").write_text(which.os_release, encoding="utf-8")
    program, library, folder, shared = json.loads(_output(interpreter(which.python), "-c", FACTS))
    for old in (half / "usr/bin").glob("python3*"):
        old.unlink()
    shutil.copy(Path(program).resolve(), half / f"usr/bin/python{which.python}")
    (half / "usr/bin/python3").symlink_to(f"python{which.python}")
    target = half / f"usr/lib/python{which.python}"
    shutil.copytree(library, target, ignore=NOT_COPIED)
    (target / "site-packages").mkdir()
    # Debian's and Ubuntu's Python look here by themselves.
    (target / "site-packages/distribution.pth").write_text("/usr/lib/python3/dist-packages\n", encoding="utf-8")
    # Ubuntu 24.04 has it (PEP 668): its pip installs nothing into the system.
    (target / "EXTERNALLY-MANAGED").write_text("[externally-managed]\nError=a stand-in for Ubuntu\n", encoding="utf-8")
    for file in Path(folder).glob(f"{shared}*") if shared else ():
        shutil.copy(file, half / "usr/lib" / file.name)
    half.rename(place)
    return place


def systemd_wheel(which: StandIn) -> Path:
    """systemd-python of requirements.lock for the stand-in's Python (rule 2); built if it is not there."""
    from tools.dev.gate.locked import LOCK, locked

    entry = next(entry for entry in locked(LOCK.read_text(encoding="utf-8")) if entry.name == "systemd-python")
    folder = cache_dir() / "flash" / f"built-{which.python}"
    if not list(folder.glob("systemd_python-*.whl")):
        wanted = folder / "systemd-python.txt"
        folder.mkdir(parents=True, exist_ok=True)
        rows = [f"{entry.name}=={entry.version}", *(f"--hash=sha256:{one}" for one in entry.sha256)]
        wanted.write_text(" ".join(rows) + "\n", encoding="utf-8")
        options = ("-q", "--disable-pip-version-check", "--use-pep517", "--no-deps", "--require-hashes")
        _output(interpreter(which.python), "-m", "pip", "wheel", *options, "-w", str(folder), "-r", str(wanted))
    return next(folder.glob("systemd_python-*.whl"))


def interpreter(version: str) -> str:
    """An interpreter of this machine. RuntimeError when there is none."""
    ask = "import sys; print('%d.%d' % sys.version_info[:2])"
    for name in (os.environ.get(PYTHON, ""), f"python{version}"):
        if shutil.which(name) is None:
            continue
        done = subprocess.run([name, "-c", ask], capture_output=True, text=True, check=False)
        if done.stdout.strip() == version:
            return name
    raise RuntimeError(f"no Python {version} on PATH: name one with {PYTHON}=/path/to/python{version}")


def _output(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)[:200]}: {done.stderr[-1500:]}")
    return done.stdout
