"""The wheels of a kit: downloaded once by hash for one target, installed later without a network.

1. Versions and hashes are requirements.lock's, but NumPy's, which numpy.lock beside this module fixes for boards.
2. Markers are evaluated for the target here: pip evaluates them for the Python that runs it (pip issue 11664).
3. A virtual environment is written, not run: links to the system's Python, `include-system-site-packages` so that
   JetPack's TensorRT is seen, and the wheels' files. So it can be made for another processor.
4. pip checks each wheel's hash and its tags again when it unpacks it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from device.edges.sandbox.prctl import end_with_parent
from device.errors import Unavailable
from tools.dev.gate.locked import BASE, LOCK, ROOT, Locked, locked
from tools.flash.root import Refusal
from tools.flash.targets import Target

NUMPY = Path(__file__).with_name("numpy.lock")
OWN = "lfr-edge"
REQUIREMENTS = "requirements.txt"
PIP = ("--disable-pip-version-check", "--no-input", "--no-deps", "--only-binary=:all:")
PYTHON_LINKS = ("python", "python3")
EXTRAS = {"device-systemd": "systemd-python", "device-cuda": "pycuda"}
"""Extras without wheels on any index: a kit takes wheels that were built once, by `--wheel`."""


def selected(target: Target) -> list[Locked]:
    """Every package of the base installation for a target (rules 1 and 2)."""
    from packaging.markers import Marker

    environment = {
        "python_version": target.release.python,
        "python_full_version": f"{target.release.python}.0",
        "platform_machine": target.machine,
        "sys_platform": "linux",
        "platform_system": "Linux",
        "os_name": "posix",
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
    }
    base = [entry for entry in locked(LOCK.read_text(encoding="utf-8")) if BASE in entry.sections]
    fitting = [entry for entry in base if not entry.marker or Marker(entry.marker).evaluate(environment)]
    return [entry for entry in fitting if entry.name != "numpy"] + locked(NUMPY.read_text(encoding="utf-8"))


def requirements(entries: Sequence[Locked]) -> str:
    """A requirements file without markers, so that pip takes every line."""
    rows = (
        f"{e.name}=={e.version} \\\n" + " \\\n".join(f"    --hash=sha256:{one}" for one in e.sha256) for e in entries
    )
    return "\n".join(rows) + "\n"


def download(target: Target, wheels: Path) -> None:
    """Fetch every wheel into `wheels` (network; what is there is kept). Unavailable when one is not to be had."""
    wheels.mkdir(parents=True, exist_ok=True)
    wanted = wheels.parent / REQUIREMENTS
    wanted.write_text(requirements(selected(target)), encoding="utf-8")
    command = [sys.executable, "-m", "pip", "download", "-q", *PIP, "--require-hashes", *_tags(target)]
    command += ["--find-links", str(wheels), "-d", str(wheels), "-r", str(wanted)]
    if subprocess.run(command, stdin=subprocess.DEVNULL, stdout=2, check=False).returncode != 0:
        raise Unavailable(
            f"pip could not download the wheels for {target} (its message is above); a kit is made with a network"
        )


def build_own(wheels: Path) -> Path:
    """This program as a wheel, from the checkout."""
    if not (ROOT / "pyproject.toml").is_file():
        raise Unavailable("a kit is made from a checkout of the sources: there is no pyproject.toml here")
    for old in wheels.glob(f"{OWN.replace('-', '_')}-*.whl"):
        old.unlink()
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--disable-pip-version-check", "--no-input", "--no-deps"]
    command += ["--no-index", "--no-build-isolation", "-w", str(wheels), str(ROOT)]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    made = sorted(wheels.glob(f"{OWN.replace('-', '_')}-*.whl"))
    if done.returncode != 0 or not made:
        raise Unavailable(f"the wheel of {OWN} could not be built: {done.stderr[-800:]}")
    shutil.rmtree(ROOT / "build", ignore_errors=True)
    return made[0]


def unpacked_bytes(wheels: Path) -> int:
    """What the wheels take when they are installed."""
    from zipfile import ZipFile

    total = 0
    for wheel in wheels.glob("*.whl"):
        with ZipFile(wheel) as archive:
            total += sum(entry.file_size for entry in archive.infolist())
    return total


def site_packages(target: Target) -> str:
    """Where packages lie in a virtual environment of the target."""
    return f"lib/python{target.release.python}/site-packages"


def make_environment(target: Target, wheels: Sequence[Path], folder: Path, place: str) -> None:
    """Write a virtual environment (rules 3 and 4).

    folder  of this machine; made anew
    place   where the board sees it, for the first line of its scripts
    """
    shutil.rmtree(folder, ignore_errors=True)
    site = folder / site_packages(target)
    site.parent.mkdir(parents=True)
    command = [sys.executable, "-m", "pip", "install", "-q", *PIP, "--no-index", "--no-compile", "--no-warn-conflicts"]
    command += ["--root-user-action=ignore", *_tags(target), "--target", str(site), *(str(wheel) for wheel in wheels)]
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "TMPDIR": str(folder)}
    parent = os.getpid()

    def end_with_this() -> None:
        end_with_parent()
        if os.getppid() != parent:
            os._exit(1)

    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env=environment,
        check=False,
        preexec_fn=end_with_this,  # a pip that outlives a killed apply would write into the folder of the next one
    )
    if done.returncode != 0:
        shutil.rmtree(folder, ignore_errors=True)
        if "No space left" in done.stderr or "Read-only" in done.stderr:
            raise Unavailable(f"{folder}: {done.stderr.strip().splitlines()[-1]}; make room, then run it again")
        raise Refusal("wheels", f"pip cannot install the kit's wheels for {target}: {done.stderr.strip()[-800:]}")
    shutil.rmtree(site / "bin", ignore_errors=True)  # scripts for the Python that ran pip
    _write_frame(target, folder, place)


def _write_frame(target: Target, folder: Path, place: str) -> None:
    """What makes a folder a virtual environment (PEP 405), and the one script."""
    version = target.release.python
    (folder / "bin").mkdir()
    (folder / "bin" / f"python{version}").symlink_to(f"/usr/bin/python{version}")
    for name in PYTHON_LINKS:
        (folder / "bin" / name).symlink_to(f"python{version}")
    settings = f"home = /usr/bin\ninclude-system-site-packages = true\nversion = {version}\n"
    (folder / "pyvenv.cfg").write_text(settings, encoding="utf-8")
    script = folder / "bin" / "lfr"
    script.write_text(
        f"#!{place}/bin/python -I\nimport sys\n\nfrom device.cli.main import main\n\nsys.exit(main())\n",
        encoding="utf-8",
    )
    script.chmod(0o755)


def _tags(target: Target) -> Iterator[str]:
    """pip's options for a target other than the machine that runs it."""
    yield from ("--python-version", target.release.python, "--implementation", "cp")
    for abi in (target.release.tag, "abi3", "none"):
        yield from ("--abi", abi)
    for platform in target.platforms:
        yield from ("--platform", platform)
