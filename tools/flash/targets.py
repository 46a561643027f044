"""Releases and processors that a device can be made of, and what a root file system says it is.

Nothing of the root is run: the release is read from os-release(5), the processor from the ELF header of its Python.
"""

from __future__ import annotations

import shlex
import struct
from dataclasses import dataclass
from pathlib import Path

from device.errors import UsageError
from tools.flash.root import Refusal, Root

MACHINES = {"aarch64": 183, "x86_64": 62}
"""e_machine of the ELF header (elf(5), /usr/include/elf.h) by the name that uname(1) and wheels use."""
DEBIAN_NAMES = {"aarch64": "arm64", "x86_64": "amd64"}
EARLIEST_MANYLINUX = 5  # manylinux1 is glibc 2.5 (PEP 600)
LEGACY = {"x86_64": ("manylinux2014", "manylinux2010", "manylinux1"), "aarch64": ("manylinux2014",)}


@dataclass(frozen=True, slots=True)
class Release:
    """A distribution's release: its Python and C library decide which wheels fit.

    glibc  minor version of 2.x
    """

    name: str
    os_id: str
    version: str
    python: str
    glibc: int
    what: str

    @property
    def tag(self) -> str:
        """The Python tag of wheels: cp310."""
        return "cp" + self.python.replace(".", "")


RELEASES = (
    Release("ubuntu-22.04", "ubuntu", "22.04", "3.10", 35, "JetPack 6"),
    Release("ubuntu-24.04", "ubuntu", "24.04", "3.12", 39, "JetPack 7"),
    Release("debian-12", "debian", "12", "3.11", 36, "desks and tests; no JetPack"),
)


@dataclass(frozen=True, slots=True)
class Target:
    """What a kit is made for, or what a root file system is."""

    release: Release
    machine: str

    def __str__(self) -> str:
        return f"{self.release.name} {self.machine}"

    @property
    def platforms(self) -> tuple[str, ...]:
        """Platform tags of wheels that run there, newest first (PEP 600)."""
        numbered = (f"manylinux_2_{minor}" for minor in range(self.release.glibc, EARLIEST_MANYLINUX - 1, -1))
        return tuple(f"{tag}_{self.machine}" for tag in (*numbered, *LEGACY[self.machine], "linux"))

    @property
    def debian(self) -> str:
        """The distribution's name of the processor."""
        return DEBIAN_NAMES[self.machine]


def release_named(name: str) -> Release:
    """The release that a kit's file names. Raises UsageError."""
    found = next((release for release in RELEASES if release.name == name), None)
    if found is None:
        raise UsageError(f"no release {name!r}; there are {', '.join(release.name for release in RELEASES)}")
    return found


def target_of(root: Root) -> Target:
    """What a root file system is. Raises Refusal when it is none, or one of a release that no kit is made for."""
    described = {}
    for place in ("/etc/os-release", "/usr/lib/os-release"):
        if root.exists(place):
            text = root.read(place).decode("utf-8", "replace")
            described = dict(shlex.split(line)[0].split("=", 1) for line in text.splitlines() if _is_setting(line))
            break
    if not described:
        raise Refusal("root", f"{root.path} has no /etc/os-release: name the folder of a root file system")
    found = next(
        (r for r in RELEASES if (r.os_id, r.version) == (described.get("ID"), described.get("VERSION_ID"))), None
    )
    if found is None:
        is_now = described.get("PRETTY_NAME") or described.get("ID") or "no known system"
        known = ", ".join(f"{release.name} ({release.what})" for release in RELEASES)
        raise Refusal("release", f"{root.path} is {is_now}; a device is made of {known}")
    return Target(found, _machine(root, found))


def _is_setting(line: str) -> bool:
    return "=" in line and not line.startswith("#")


def _machine(root: Root, release: Release) -> str:
    """The processor of the root's own Python, which runs the device."""
    python = f"/usr/bin/python{release.python}"
    if not root.exists(python):
        raise Refusal(
            "python", f"{root.path} has no {python}; install it there first: apt-get install python{release.python}"
        )
    with root.resolve(python).open("rb") as file:
        head = file.read(20)
    if head[:4] != b"\x7fELF" or len(head) < 20:
        raise Refusal("python", f"{root.path}{python} is no program of Linux: the root file system is damaged")
    number = struct.unpack("<H", head[18:20])[0]
    name = next((name for name, known in MACHINES.items() if known == number), None)
    if name is None:
        raise Refusal("architecture", f"{root.path}{python} is for another processor (ELF machine {number})")
    return name


def same(kit: Target, root: Target, path: Path) -> None:
    """Refusal when a kit is for another release or processor than a root file system has."""
    if kit.release != root.release:
        raise Refusal("release", f"{path} is {root.release.name}, this kit is for {kit.release.name}: take its own kit")
    if kit.machine != root.machine:
        raise Refusal("architecture", f"{path} is {root.machine}, this kit is for {kit.machine}: take its own kit")
