"""Programs of the operating system that the project starts: found, installed, or unpacked beside the sources.

1. What is on the machine is used as it is.
2. As root, apt installs it. No service is left running or enabled that was not so before.
3. Without root, `apt-get download` and `dpkg-deb -x` put it under `.cache/system/`, with a small script in
   `.cache/system/start/` that sets the library path; nothing outside the repository changes.

Standard library only: this runs before anything is installed.
"""

from __future__ import annotations

import getpass
import os
import shlex
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

SYSTEM_PATH = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")
POLICY = Path("/usr/sbin/policy-rc.d")
APT_QUIET = ("-qq", "-o", "Dpkg::Use-Pty=0")
NETWORK_HINT = "Is there a network and a package source? Run it again then"


class SetupFailed(Exception):
    """Setup cannot continue; the text states what was tried and what to do."""


@dataclass(frozen=True)
class Program:
    """A command, the package that has it, and the services that the package would start."""

    command: str
    package: str
    services: tuple[str, ...] = ()
    library_dirs: tuple[str, ...] = ()


MOSQUITTO = Program("mosquitto", "mosquitto", services=("mosquitto.service",))
MMDEBSTRAP = Program("mmdebstrap", "mmdebstrap")
SYSTEMD_NSPAWN = Program("systemd-nspawn", "systemd-container")
SYSTEMD_ANALYZE = Program("systemd-analyze", "systemd", library_dirs=("lib/systemd", "usr/lib/systemd"))
QEMU = Program("qemu-system-x86_64", "qemu-system-x86")
CHROMIUM = Program("chromium", "chromium")
STRACE = Program("strace", "strace")
NODE = Program("node", "nodejs")
NPM = Program("npm", "npm")
PROMTOOL = Program("promtool", "prometheus")  # never installed: its package has a service


def find(program: Program, cache: Path) -> Path | None:
    """The program on PATH, in a system folder, or unpacked under the cache; None when it is nowhere."""
    places = [*os.environ.get("PATH", "").split(os.pathsep), *SYSTEM_PATH, str(cache / "system" / "start")]
    found = shutil.which(program.command, path=os.pathsep.join(places))
    return Path(found) if found else None


def provide(program: Program, cache: Path) -> Path:
    """The program, installed or unpacked first if need be. Raises SetupFailed."""
    there = find(program, cache)
    if there is not None:
        return there
    if shutil.which("apt-get") is None:
        raise SetupFailed(
            f"{program.command} is missing and there is no apt-get; install it and run `make setup` again"
        )
    if os.geteuid() == 0:
        install((program.package,), program.services)
    else:
        unpack(program, cache)
    there = find(program, cache)
    if there is None:
        raise SetupFailed(
            f"package {program.package} is installed but {program.command} is missing; install it by hand"
        )
    return there


def provide_unpacked(program: Program, cache: Path) -> Path:
    """The program out of its package alone, unpacked under the cache, also as root. Raises SetupFailed.

    For a program that needs only the system's libraries, of a package that must not be installed.
    """
    there = find(program, cache)
    if there is not None:
        return there
    if shutil.which("apt-get") is None:
        raise SetupFailed(f"{program.command} is missing and there is no apt-get")
    root = cache / "system"
    (root / "debs").mkdir(parents=True, exist_ok=True)
    say(f"unpacking {program.package} under {root} (not installed, so its service is never there)")
    for deb in download((program.package,), root / "debs"):
        if run(["dpkg-deb", "-x", str(deb), str(root)]) != 0:
            raise SetupFailed(f"{deb} does not unpack; remove {root / 'debs'} and try again")
        deb.unlink()
    write_starter(program, root)
    return root / "start" / program.command


def install(packages: Sequence[str], services: Sequence[str] = ()) -> None:
    """apt-get install as root, with every service start refused while it runs."""
    say(f"installing {', '.join(packages)} with apt-get")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    command = ["apt-get", "install", "-y", *APT_QUIET, "--no-install-recommends", *packages]
    with no_service_starts():
        if run(command, environment) != 0:
            run(["apt-get", "update", *APT_QUIET], environment)
            if run(command, environment) != 0:
                raise SetupFailed(f"apt-get could not install {' '.join(packages)}. {NETWORK_HINT}: make setup")
    for service in services:
        leave_disabled(service)


@contextmanager
def no_service_starts() -> Iterator[None]:
    """Refuse service starts by Debian's policy-rc.d (its manual: exit 101 forbids), unless the host has a policy."""
    ours = not POLICY.exists()
    if ours:
        POLICY.write_text("#!/bin/sh\nexit 101\n")
        POLICY.chmod(0o755)
    try:
        yield
    finally:
        if ours:
            POLICY.unlink()


def leave_disabled(service: str) -> None:
    """Stop and disable a service that came with a package just installed; quiet where there is no systemd."""
    for command in (
        ["systemctl", "disable", "--now", service],
        ["deb-systemd-helper", "disable", service],
        ["update-rc.d", service.split(".")[0], "disable"],
    ):
        if shutil.which(command[0]) is not None:
            subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)


def unpack(program: Program, cache: Path) -> None:
    """Download the package and what it lacks here, unpack all of it under the cache and write the starter."""
    say(f"unpacking {program.package} under {cache / 'system'} (no root: nothing is installed)")
    root = cache / "system"
    debs = root / "debs"
    debs.mkdir(parents=True, exist_ok=True)
    options = apt_options(root)
    names = missing_packages(program.package, options)
    if not names:
        run(["apt-get", *options, *APT_QUIET, "update"])
        names = missing_packages(program.package, options) or [program.package]
    if run(["apt-get", *options, *APT_QUIET, "download", *names], cwd=debs) != 0:
        raise SetupFailed(
            f"apt-get could not download {' '.join(names)}. {NETWORK_HINT}, "
            f"or as root: apt-get install {program.package}"
        )
    for deb in sorted(debs.glob("*.deb")):
        if run(["dpkg-deb", "-x", str(deb), str(root)]) != 0:
            raise SetupFailed(f"{deb} does not unpack; remove {debs} and run `make setup` again")
        deb.unlink()
    write_starter(program, root)


def download(packages: Sequence[str], folder: Path) -> list[Path]:
    """The packages' files in `folder`, with nothing installed or unpacked. Raises SetupFailed."""
    as_we_are = ("-o", f"APT::Sandbox::User={getpass.getuser()}")  # apt's own user may not write into our folder
    command = ["apt-get", *APT_QUIET, *as_we_are, "download", *packages]
    if run(command, cwd=folder) != 0:
        run(["apt-get", *APT_QUIET, "update"])
        if run(command, cwd=folder) != 0:
            raise SetupFailed(f"apt-get could not download {' '.join(packages)}. {NETWORK_HINT}")
    return sorted(folder.glob("*.deb"))


def apt_options(root: Path) -> list[str]:
    """Options that keep apt's lists and cache under `root` when the system's lists are empty or old."""
    lists = root / "apt" / "lists"
    (lists / "partial").mkdir(parents=True, exist_ok=True)
    archives = root / "apt" / "cache"
    (archives / "archives" / "partial").mkdir(parents=True, exist_ok=True)
    if any(Path("/var/lib/apt/lists").glob("*Packages*")):
        return ["-o", f"Dir::Cache={archives}"]
    return ["-o", f"Dir::State::lists={lists}", "-o", f"Dir::Cache={archives}"]


def missing_packages(package: str, options: Sequence[str]) -> list[str]:
    """What apt would install for `package` on this machine, by simulation (needs no root)."""
    simulated = subprocess.run(
        ["apt-get", *options, "-s", "--no-install-recommends", "install", package],
        capture_output=True,
        text=True,
        check=False,
    )
    return [line.split()[1] for line in simulated.stdout.splitlines() if line.startswith("Inst ")]


def write_starter(program: Program, root: Path) -> None:
    """A shell script in `root`/start that starts the unpacked program with the libraries unpacked beside it."""
    places = [d / program.command for d in (root / "usr" / "sbin", root / "usr" / "bin", root / "bin", root / "sbin")]
    real = next((p for p in places if p.exists()), None)
    if real is None:
        raise SetupFailed(f"package {program.package} holds no {program.command}; install it by hand")
    libraries = [*root.glob("usr/lib/*-linux-gnu*"), *root.glob("lib/*-linux-gnu*")]
    libraries += [root / d for d in program.library_dirs] + [d / "systemd" for d in libraries]
    path = ":".join(str(d) for d in libraries if d.is_dir())
    starter = root / "start" / program.command
    starter.parent.mkdir(exist_ok=True)
    starter.write_text(
        "#!/bin/sh\n"
        f"LD_LIBRARY_PATH={shlex.quote(path)}${{LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}} "
        f'exec {shlex.quote(str(real))} "$@"\n'
    )
    starter.chmod(0o755)


def run(command: Sequence[str], environment: dict[str, str] | None = None, cwd: Path | None = None) -> int:
    """Run one command with its output shown on stderr; its exit status."""
    return subprocess.run(command, env=environment, cwd=cwd, stdin=subprocess.DEVNULL, stdout=2, check=False).returncode


def say(text: str) -> None:
    """One line of progress on stderr, so that it comes before what the commands themselves print there."""
    os.write(2, f"setup: {text}\n".encode())
