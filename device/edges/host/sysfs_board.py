"""A board's health from files: GPU load, power mode, over-current events, memory. No daemon, no root.

Sources, read 2026-11-30; none was seen on a board here:

load           `device/load` of a /sys/class/devfreq entry whose device tree node is called gpu, ga10b, gv11b or
               gp10b, in tenths of a percent (jetson_stats, jtop/core/gpu.py, find_igpu and igpu_read_status). A Thor's
               GPU is a PCI device without this file: unknown
power mode     /var/lib/nvpmodel/status holds `pmode:0002`, written by nvpmodel whenever the mode is set;
               /etc/nvpmodel.conf names the modes, `< POWER_MODEL ID=2 NAME=MAXN_SUPER >` (NVIDIA, Jetson Linux
               Developer Guide, Platform Power and Performance)
over-current   hwmon device `soctherm_oc` with oc1_event_cnt to oc3_event_cnt, counted since the machine started
               (nvidia-oot, drivers/hwmon/tegra23x-oc-event.c): 1 under-voltage, 2 average and 3 instantaneous
               over-current (the same guide, Jetson Orin series)
last reset     bit CARDRESET of a watchdog's `bootstatus` (Documentation/watchdog/watchdog-api.rst); on a Tegra, whose
               watchdog driver does not set it, `reset_reason` of the power management controller: the names of
               its watchdogs end in WDT (drivers/soc/tegra/pmc.c, tegra234_reset_sources)
memory         MemAvailable and MemTotal of /proc/meminfo, in KiB (proc(5))
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from device.ports.health import Memory, PowerMode

GPU_NODES = frozenset({"gpu", "ga10b", "gv11b", "gp10b"})
OVER_CURRENT = {"oc1": "under-voltage", "oc2": "average over-current", "oc3": "instantaneous over-current"}
MODE = re.compile(r"pmode:(\d+)")
MODEL = re.compile(r"^<\s*POWER_MODEL\s+ID=(\d+)\s+NAME=(\S+)\s*>", re.MULTILINE)


class SysfsBoard:
    """BoardHealth of the machine whose files lie below `root`."""

    def __init__(self, root: Path = Path("/")) -> None:
        self._root = root

    def gpu_load(self) -> float | None:
        for entry in sorted((self._root / "sys/class/devfreq").glob("*")):
            if _text(entry / "device/of_node/name").rstrip("\0") in GPU_NODES:
                tenths = _number(entry / "device/load")
                return tenths / 1000 if tenths is not None and 0 <= tenths <= 1000 else None
        return None

    def power_mode(self) -> PowerMode | None:
        found = MODE.search(_text(self._root / "var/lib/nvpmodel/status"))
        if found is None:
            return None
        names = {int(number): name for number, name in MODEL.findall(_text(self._root / "etc/nvpmodel.conf"))}
        return PowerMode(int(found[1]), names.get(int(found[1]), ""), tuple(names.values()))

    def over_current(self) -> dict[str, int] | None:
        for folder in sorted((self._root / "sys/class/hwmon").glob("*")):
            if _text(folder / "name") == "soctherm_oc":
                counts = {what: _number(folder / f"{line}_event_cnt") for line, what in OVER_CURRENT.items()}
                return {what: count for what, count in counts.items() if count is not None} or None
        return None

    def memory(self) -> Memory | None:
        rows = (row.split() for row in _text(self._root / "proc/meminfo").splitlines())
        kib = {row[0]: int(row[1]) for row in rows if len(row) >= 2 and row[1].isdigit()}
        if "MemAvailable:" not in kib or not kib.get("MemTotal:"):
            return None
        return Memory(kib["MemAvailable:"] * 1024, kib["MemTotal:"] * 1024)


@dataclass(frozen=True, slots=True)
class Watchdog:
    """A hardware watchdog: what resets the machine when nobody feeds it. active: somebody has opened it."""

    name: str
    identity: str
    active: bool
    timeout_s: int | None


def watchdogs(root: Path = Path("/")) -> tuple[Watchdog, ...]:
    """Watchdogs that the kernel shows (Documentation/ABI/testing/sysfs-class-watchdog), in order."""
    folders = sorted((root / "sys/class/watchdog").glob("watchdog*"))
    return tuple(
        Watchdog(one.name, _text(one / "identity"), _text(one / "state") == "active", _number(one / "timeout"))
        for one in folders
    )


CARD_RESET = 0x20  # WDIOF_CARDRESET, include/uapi/linux/watchdog.h
TEGRA_PMC = ("sys/devices/platform/*.pmc/reset_reason", "sys/devices/platform/bus@0/*.pmc/reset_reason")


@dataclass(frozen=True, slots=True)
class LastReset:
    """What began the present start, as the machine states it."""

    reason: str
    by_watchdog: bool


def last_reset(root: Path = Path("/")) -> LastReset | None:
    """Why this machine started; None when nothing here records it (a watchdog in software cannot)."""
    recording = False
    for folder in sorted((root / "sys/class/watchdog").glob("watchdog*")):
        status = _number(folder / "bootstatus")
        recording |= status is not None
        if status is not None and status & CARD_RESET:
            return LastReset(f"reset by {_text(folder / 'identity') or folder.name}", True)
    for file in (file for pattern in TEGRA_PMC for file in sorted(root.glob(pattern))):
        if reason := _text(file):
            return LastReset(f"reset reason {reason}", reason.endswith("WDT"))
    return LastReset("no watchdog states that it reset this machine", False) if recording else None


def _number(file: Path) -> int | None:
    try:
        return int(_text(file))
    except ValueError:
        return None


def _text(file: Path) -> str:
    """The file's text; empty where it cannot be read (a driver may refuse with any errno)."""
    try:
        return file.read_bytes().decode("ascii", "replace").strip()
    except OSError:
        return ""
