"""How the machine is: temperatures from sysfs, memory of a process, room on the disk. No daemon, no root."""

from __future__ import annotations

import os
from pathlib import Path

THERMAL = Path("sys/class/thermal")


def temperatures_c(root: Path = Path("/")) -> dict[str, float]:
    """Each thermal zone by its kernel name; a zone that cannot be read now (a sleeping GPU) is left out."""
    found: dict[str, float] = {}
    for zone in sorted((root / THERMAL).glob("thermal_zone*")):
        try:
            name = (zone / "type").read_text().strip()
            found[name] = int((zone / "temp").read_text()) / 1000
        except (OSError, ValueError):
            continue
    return found


def disk_free_bytes(path: Path) -> int:
    """Bytes that this user may still write on the file system of `path`, or of its nearest existing parent."""
    while not path.exists() and path != path.parent:
        path = path.parent
    stat = os.statvfs(path)
    return stat.f_bavail * stat.f_frsize


def resident_bytes(root: Path = Path("/")) -> int | None:
    """Resident memory of this process (proc(5), statm), None where there is no /proc."""
    try:
        pages = int((root / "proc/self/statm").read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return None
    return pages * os.sysconf("SC_PAGE_SIZE")
