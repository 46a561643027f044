"""The board's health over time: the last readings, and whether its supply or its memory limits it now.

1. Over-current counters only ever grow: what counts as now is an event of the last OVER_CURRENT_RECENT_S. Events from
   before this program's first reading are not its own.
2. A reading that this machine does not have is None everywhere: unknown, never 0.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from device.domain.time import NS_PER_S
from device.ports.health import BoardHealth, Memory, PowerMode
from device.supervisor.timing import OVER_CURRENT_RECENT_S

MEMORY_LOW_BYTES = 512 * 2**20  # a worker with both CPU runtimes has 453 MB resident (measured 2026-11-22, x86-64)


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardView:
    """The last readings. limited_by: what the board's supply did lately; None when it is unknown."""

    gpu_load: float | None = None
    power_mode: PowerMode | None = None
    memory: Memory | None = None
    over_current: dict[str, int] | None = None
    limited_by: tuple[str, ...] | None = None

    @property
    def memory_low(self) -> bool:
        """Whether a worker that starts again may not find its memory."""
        return self.memory is not None and self.memory.available_bytes < MEMORY_LOW_BYTES


UNKNOWN_BOARD = BoardView()


@dataclass(slots=True)
class BoardState:
    """`read` on the disk thread, `view` from the loop."""

    board: BoardHealth
    view: BoardView = UNKNOWN_BOARD
    _counts: dict[str, int] = field(default_factory=dict)
    _last_ns: dict[str, int] = field(default_factory=dict)

    def read(self, now_ns: int) -> None:
        """Read everything once."""
        events = self.board.over_current()
        known = events or {}
        self._last_ns |= {what: now_ns for what, count in known.items() if count > self._counts.get(what, count)}
        self._counts |= known  # the last that was read: a counter that fails for a moment hides no event
        recent_ns = OVER_CURRENT_RECENT_S * NS_PER_S
        recent = tuple(what for what, at in self._last_ns.items() if now_ns - at < recent_ns)
        self.view = BoardView(
            gpu_load=self.board.gpu_load(),
            power_mode=self.board.power_mode(),
            memory=self.board.memory(),
            over_current=events,
            limited_by=None if events is None else recent,
        )
