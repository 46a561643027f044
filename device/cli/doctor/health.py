"""The board's health in `lfr doctor`: GPU load, power mode, supply, memory, last start, latency of the running engine.

A reading that this machine does not have is unknown: a warning on a board, and as it should be on a desk.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from device.cli.doctor.finding import Finding, Level
from device.domain.symptoms.names import Health
from device.domain.symptoms.table import remedy

if TYPE_CHECKING:
    from device.config.model import DeviceConfig
    from device.ports.health import BoardHealth

BUSY = 0.95
BOARD = Path("/proc/device-tree/compatible")


def of_board(board: BoardHealth | None = None, *, on_board: bool | None = None) -> Iterator[Finding]:
    """Every reading. board: the machine's own where none is given; on_board: whether this is a Jetson."""
    from device.edges.host.sysfs_board import SysfsBoard
    from device.supervisor.runtime.board_state import MEMORY_LOW_BYTES

    here = board or SysfsBoard()
    unknown: Level = "warn" if (BOARD.exists() if on_board is None else on_board) else "ok"
    load = here.gpu_load()
    yield _line(Health.GPU_LOAD, unknown, None if load is None else f"{load:.0%} busy", (load or 0.0) >= BUSY)
    mode = here.power_mode()
    text = None
    if mode is not None:
        others = ", ".join(name for name in mode.known if name != mode.name)
        text = f"{mode.name or mode.number}" + (f"; this board also has {others}" if others else "")
    yield _line(Health.POWER_MODE, unknown, text, False)
    events = here.over_current()
    listed = None if events is None else ", ".join(f"{count} {what}" for what, count in events.items())
    text = None if listed is None else f"events since the machine started: {listed}"
    yield _line(Health.SUPPLY, unknown, text, any((events or {}).values()))
    memory = here.memory()
    low = memory is not None and memory.available_bytes < MEMORY_LOW_BYTES
    text = f"{memory.available_bytes // 10**6} of {memory.total_bytes // 10**6} MB available" if memory else None
    yield _line(Health.MEMORY_LOW, "warn", text, low)


def hardware_watchdog(root: Path = Path("/"), *, on_board: bool | None = None) -> Iterator[Finding]:
    """Whether somebody (systemd, by RuntimeWatchdogSec=) feeds a hardware watchdog."""
    from device.edges.host.sysfs_board import watchdogs

    wanted: Level = "warn" if (BOARD.exists() if on_board is None else on_board) else "ok"
    found = watchdogs(root)
    text = ", ".join(
        f"{one.identity or one.name}: {f'resets after {one.timeout_s} s' if one.active else 'not in use'}"
        for one in found
    )
    fed = any(one.active for one in found)
    how = remedy(Health.WATCHDOG_IDLE)
    yield Finding(Health.WATCHDOG_IDLE.value, "ok" if fed else wanted, text or "none", how)


def last_start(root: Path = Path("/")) -> Iterator[Finding]:
    """Whether a watchdog began the present start: a machine that hung does not look like one that was switched on."""
    from device.edges.host.sysfs_board import last_reset

    found = last_reset(root)
    reason, by_watchdog = (None, False) if found is None else (found.reason, found.by_watchdog)
    yield _line(Health.WATCHDOG_RESET, "ok", reason, by_watchdog)


def of_engine(config: DeviceConfig) -> Iterator[Finding]:
    """p95 of each stage beside its value at the start, from the status of the running device; unknown without one."""
    from device.edges.host.owner_rights import read_regular, rights_of

    try:
        with rights_of(config.run_dir):
            status = json.loads(read_regular(config.run_dir / "status.json"))
        stages: dict[str, dict[str, Any]] = status["stages"]
    except (OSError, ValueError, KeyError, TypeError):
        yield _line(Health.ENGINE_SLOWER, "ok", None, False)
        return
    known = {name: one for name, one in stages.items() if one["p95_start_ms"] is not None}
    each = ", ".join(f"{name} {one['p95_start_ms']:.1f} -> {one['p95_ms']:.1f}" for name, one in known.items())
    text = f"p95 in ms at the start -> now: {each}" if each else None
    yield _line(Health.ENGINE_SLOWER, "ok", text, any(one["slower"] for one in known.values()))


def _line(symptom: Health, unknown: Level, text: str | None, wrong: bool) -> Finding:
    """One line. text: None when the reading is unknown."""
    how = remedy(symptom)
    if text is None:
        return Finding(symptom.value, unknown, "unknown: this machine has no such reading", how)
    return Finding(symptom.value, "warn" if wrong else "ok", text, how)
