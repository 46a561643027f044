"""An Orin's health without one: attributes to set, and the files in which a board would show them.

The fake of the port BoardHealth. `write` makes the files of device/edges/host/sysfs_board.py below a folder, so that
the real reader can be tried against the same board (tests/contract/test_board_health.py).
"""

from __future__ import annotations

from pathlib import Path

from device.edges.host.sysfs_board import OVER_CURRENT
from device.ports.health import Memory, PowerMode

GPU = "sys/class/devfreq/17000000.gpu"
OC = "sys/class/hwmon/hwmon1"
MODES = ("15W", "25W", "MAXN_SUPER", "7W")


class EmulatedBoard:
    """load, mode, events, available_bytes: as they are read; None: the board has no such file."""

    def __init__(self) -> None:
        self.load: float | None = 0.25
        self.mode: int | None = 2
        self.events: dict[str, int] | None = dict.fromkeys(OVER_CURRENT.values(), 0)
        self.available_bytes: int | None = 5 * 2**30
        self.total_bytes = 8 * 2**30

    def gpu_load(self) -> float | None:
        return self.load

    def power_mode(self) -> PowerMode | None:
        return None if self.mode is None else PowerMode(self.mode, MODES[self.mode], MODES)

    def over_current(self) -> dict[str, int] | None:
        return None if self.events is None else dict(self.events)

    def memory(self) -> Memory | None:
        return None if self.available_bytes is None else Memory(self.available_bytes, self.total_bytes)

    def write(self, root: Path) -> None:
        """The files of this moment below `root`; what is None has none."""
        files: dict[str, str] = {}
        if self.load is not None:
            files |= {f"{GPU}/device/of_node/name": "gpu\0", f"{GPU}/device/load": f"{round(self.load * 1000)}\n"}
        if self.mode is not None:
            models = "".join(f"< POWER_MODEL ID={number} NAME={name} >\n" for number, name in enumerate(MODES))
            files |= {"var/lib/nvpmodel/status": f"pmode:{self.mode:04}\n", "etc/nvpmodel.conf": f"# modes\n{models}"}
        if self.events is not None:
            files[f"{OC}/name"] = "soctherm_oc\n"
            files |= {f"{OC}/{line}_event_cnt": f"{self.events[what]}\n" for line, what in OVER_CURRENT.items()}
        if self.available_bytes is not None:
            lines = f"MemTotal: {self.total_bytes // 1024} kB\nMemAvailable: {self.available_bytes // 1024} kB\n"
            files["proc/meminfo"] = lines
        for name, text in files.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text)
