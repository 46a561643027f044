"""Host health, measured four times a second: temperatures with hysteresis, free disk space, the state folder.

1. A sensor past its limit is too hot until every sensor is COOL_C below its own limit (hysteresis).
2. A host that reduces its clock still recognises: this is reported, and is not a failure.
3. While a measurement does not return (a disk that hangs) the last one expires: after HOST_STALE_S nothing is known.
4. The board's own readings (board_state.py) are taken every BOARD_MEASURE_S.
5. Whether the state folder is read-only is asked at every measurement; every STATE_FOLDER_WRITE_S, and while it
   refuses, a small file is written there as well.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from device.domain.time import NS_PER_S
from device.edges.host import sysfs
from device.edges.host.sysfs import Temperatures
from device.supervisor.conditions.snapshot import ThermalView
from device.supervisor.edges import Edges
from device.supervisor.runtime.board_state import UNKNOWN_BOARD, BoardState, BoardView
from device.supervisor.timing import BOARD_MEASURE_S, HOST_MEASURE_S, HOST_STALE_S, STATE_FOLDER_WRITE_S

COOL_C = 5.0
LEAST_C = -25.0  # the lower end of Orin modules' operating range (data sheet; to be confirmed on a board)


class HostHealth:
    """Measures; the loop reads `disk_free_bytes`, `refusal`, `board`, `thermal` and `temperatures_c`."""

    def __init__(self, state_dir: Path, edges: Edges) -> None:
        self.temperatures_c: dict[str, float] = {}
        self.refusal = ""
        """Why the state folder takes no writes; empty while it does (rule 5)."""
        self._state_dir = state_dir
        self._edges = edges
        self._clock = edges.clock
        self._free_bytes = 0
        self._thermal = ThermalView()
        self._looked_ns: int | None = None
        self._written_ns: int | None = None
        self._board = BoardState(edges.board)
        self._board_ns: int | None = None

    @property
    def board(self) -> BoardView:
        """The board's readings; all unknown while the disk thread does not answer (rule 3)."""
        return UNKNOWN_BOARD if self._stale else self._board.view

    @property
    def disk_free_bytes(self) -> int | None:
        """Bytes that alerts may still take; None when the disk does not answer (rule 3)."""
        return None if self._stale else self._free_bytes

    @property
    def thermal(self) -> ThermalView:
        """The temperature (rules 1 to 3)."""
        return ThermalView(finding="no temperature reading: the disk does not answer") if self._stale else self._thermal

    async def run(self) -> None:
        """Measure until cancelled."""
        while True:
            await self.measure()
            await asyncio.sleep(HOST_MEASURE_S)

    async def measure(self) -> None:
        """Measure once, on the disk thread."""
        edges, folder, write, now = self._edges, self._state_dir, self._write_due(), int(self._clock.monotonic())
        if self._board_ns is None or now - self._board_ns >= BOARD_MEASURE_S * NS_PER_S:
            self._board_ns = now
            await edges.disk(lambda: self._board.read(now))
        self._free_bytes, self.refusal, found = await edges.disk(
            lambda: (edges.disk_free(folder), edges.refusal(folder, write=write), sysfs.temperatures(edges.root))
        )
        self._looked_ns = int(self._clock.monotonic())
        self._written_ns = self._looked_ns if write else self._written_ns
        self.temperatures_c = {zone.name: zone.temperature_c for zone in found.zones}
        self._thermal = assess(found, was_in_range=self._thermal.in_range)

    def _write_due(self) -> bool:
        """Whether this measurement writes, too (rule 5)."""
        if self.refusal or self._written_ns is None:
            return True
        return self._clock.monotonic() - self._written_ns >= STATE_FOLDER_WRITE_S * NS_PER_S

    @property
    def _stale(self) -> bool:
        return self._looked_ns is not None and self._clock.monotonic() - self._looked_ns > HOST_STALE_S * NS_PER_S


def assess(found: Temperatures, was_in_range: bool | None) -> ThermalView:
    """Whether the machine is within its range; once it was not, only with COOL_C to spare (rule 1)."""
    if not found.zones:
        silent = f" ({', '.join(found.unreadable)}: no reading)" if found.unreadable else ""
        return ThermalView(finding=f"no temperature sensor can be read{silent}", throttled=found.slowed)
    spare_c = COOL_C if was_in_range is False else 0.0
    hottest = min(found.zones, key=lambda zone: zone.margin_c)
    coldest = min(found.zones, key=lambda zone: zone.temperature_c)
    if hottest.margin_c < spare_c:
        finding = f"{hottest.name} {hottest.temperature_c:.1f} °C, limit {hottest.most_c - spare_c:.1f}"
        return ThermalView(in_range=False, finding=finding, throttled=found.slowed)
    if coldest.temperature_c < LEAST_C + spare_c:
        finding = f"{coldest.name} {coldest.temperature_c:.1f} °C, lowest {LEAST_C + spare_c:.1f}"
        return ThermalView(in_range=False, finding=finding, throttled=found.slowed)
    finding = f"{hottest.name} {hottest.temperature_c:.1f} of {hottest.most_c:.1f} °C"
    return ThermalView(in_range=True, finding=finding, throttled=found.slowed)
