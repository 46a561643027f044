"""Jetson Linux releases and boards by name: what this board runs, and what is known to be wrong with it.

Sources: NVIDIA's release notes for the versions; its forum and issues of public projects for the faults, each named.
Nothing here was seen on a board.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from device.domain.symptoms.names import OnBoard

RELEASE_FILE = "etc/nv_tegra_release"
COMPATIBLE = "proc/device-tree/compatible"
RELEASE = re.compile(r"# R(\d+) \(release\), REVISION: (\d+)\.(\d+)")
SUPER = "-super"


@dataclass(frozen=True, slots=True)
class JetsonLinux:
    """A release: (major, minor, patch) of Jetson Linux, and the JetPack that carries it."""

    version: tuple[int, int, int]
    jetpack: str


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with releases `first` to `last`: a row of the table of symptoms."""

    first: tuple[int, int, int]
    last: tuple[int, int, int]
    symptom: OnBoard


RELEASES = (
    JetsonLinux((36, 4, 0), "6.1"),
    JetsonLinux((36, 4, 3), "6.2"),
    JetsonLinux((36, 4, 4), "6.2.1"),
    JetsonLinux((36, 5, 0), "6.2.2"),
    JetsonLinux((38, 2, 0), "7.0"),
    JetsonLinux((38, 4, 0), "7.1"),
    JetsonLinux((39, 2, 0), "7.2"),
)
FAULTS = (
    Fault((36, 4, 4), (36, 4, 4), OnBoard.GPIO_LETS_GO),
    Fault((36, 5, 0), (36, 5, 0), OnBoard.ARGUS_REOPEN),
)


def release_of(root: Path) -> tuple[int, int, int] | None:
    """Jetson Linux of a machine whose files lie below `root`; None off a Jetson. Thor's releases count as 38 and 39."""
    try:
        found = RELEASE.search((root / RELEASE_FILE).read_text(encoding="ascii", errors="replace"))
    except OSError:
        return None
    return None if found is None else (int(found[1]), int(found[2]), int(found[3]))


def jetpack_of(version: tuple[int, int, int]) -> str | None:
    """JetPack's number for a release of Jetson Linux; None for one that is not in the table."""
    return next((known.jetpack for known in RELEASES if known.version == version), None)


def faults_of(version: tuple[int, int, int]) -> tuple[Fault, ...]:
    """Known faults of a release."""
    return tuple(fault for fault in FAULTS if fault.first <= version <= fault.last)


def compatible_of(root: Path) -> tuple[str, ...]:
    """Names of the device tree, most specific first; empty off a board. `-super` is a power mode, not another board."""
    try:
        names = (root / COMPATIBLE).read_bytes().decode("ascii", "replace").split("\0")
    except OSError:
        return ()
    return tuple(name.removesuffix(SUPER) for name in names if name)
