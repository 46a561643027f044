"""Temperatures and throttling from sysfs, free disk space. No daemon, no root.

Source: Documentation/driver-api/thermal/sysfs-api.rst of the kernel; temperatures in thousandths of a degree Celsius.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

THERMAL = Path("sys/class/thermal")
PLAUSIBLE_C = (-40.0, 150.0)  # anything else is a sensor that is off or broken, or a trip that is not used
TRIPS_C = (40.0, 150.0)
MARGIN_C = 5.0  # below the trip at which the kernel shuts the machine down without notice
MOST_C = 95.0  # a zone without such a trip; Orin modules slow down at 99 and shut down at 104.5 (to be confirmed)


@dataclass(frozen=True, slots=True)
class Zone:
    """One temperature sensor. most_c: the device must not run beyond it; slows_c: where the kernel slows it down."""

    name: str
    temperature_c: float
    most_c: float
    slows_c: float | None

    @property
    def margin_c(self) -> float:
        return self.most_c - self.temperature_c


@dataclass(frozen=True, slots=True)
class Temperatures:
    """All sensors at one moment. unreadable: names of sensors without a value now (a sleeping GPU has none)."""

    zones: tuple[Zone, ...]
    unreadable: tuple[str, ...]
    slowed: bool
    """Whether the kernel says that it slows the machine down: a zone past its passive trip, or a raised alert."""


def temperatures(root: Path = Path("/")) -> Temperatures:
    """Read every thermal zone and every throttling alert under `root`."""
    zones, unreadable = [], []
    for folder in sorted((root / THERMAL).glob("thermal_zone*")):
        name = _text(folder / "type") or folder.name
        celsius = _celsius(folder / "temp", PLAUSIBLE_C)
        if celsius is None:
            unreadable.append(name)
            continue
        trips = dict(_trips(folder))
        ends = [trips[kind] for kind in ("critical", "hot") if kind in trips]
        zones.append(Zone(name, celsius, min(ends) - MARGIN_C if ends else MOST_C, trips.get("passive")))
    past = any(zone.slows_c is not None and zone.temperature_c >= zone.slows_c for zone in zones)
    return Temperatures(tuple(zones), tuple(unreadable), past or any(_alerts(root)))


def disk_free_bytes(path: Path) -> int:
    """Bytes that this user may still write on the file system of `path`, or of its nearest existing parent."""
    while not path.exists() and path != path.parent:
        path = path.parent
    stat = os.statvfs(path)
    return stat.f_bavail * stat.f_frsize


def _trips(zone: Path) -> Iterator[tuple[str, float]]:
    """Kind and temperature of a zone's trips, hottest first, so that a dict keeps the coolest of each kind."""
    found = [
        (_text(kind), _celsius(kind.with_name(kind.name.replace("_type", "_temp")), TRIPS_C))
        for kind in zone.glob("trip_point_*_type")
    ]
    yield from sorted(((kind, at) for kind, at in found if at is not None), key=lambda trip: -trip[1])


def _alerts(root: Path) -> Iterator[bool]:
    """Tegra's throttling alerts are cooling devices (cpu-throttle-alert …): state 1 while raised (to be confirmed)."""
    for device in (root / THERMAL).glob("cooling_device*"):
        if _text(device / "type").endswith("throttle-alert"):
            yield _text(device / "cur_state") not in ("", "0")


def _celsius(file: Path, within: tuple[float, float]) -> float | None:
    try:
        celsius = int(_text(file)) / 1000
    except ValueError:
        return None
    return celsius if within[0] <= celsius <= within[1] else None


def _text(file: Path) -> str:
    try:
        return file.read_text().strip()
    except OSError:
        return ""
