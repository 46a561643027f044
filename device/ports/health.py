"""Port of the board's health: what a Jetson's kernel and NVIDIA's power tool show of GPU, power and memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class PowerMode:
    """The power mode that is set, and the names of all that the board has; name "" for a number without a name."""

    number: int
    name: str
    known: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Memory:
    """Memory of the machine: what a new program could have, and all of it. A Jetson's GPU uses the same memory."""

    available_bytes: int
    total_bytes: int


class BoardHealth(Protocol):
    """Readings of this moment; None: unknown, because this machine has no such reading or it fails. Never raises.

    gpu_load      0 to 1
    over_current  events since the machine started, by what the board's supply did
    Each takes milliseconds at most: the disk thread reads them.
    """

    def gpu_load(self) -> float | None: ...

    def power_mode(self) -> PowerMode | None: ...

    def over_current(self) -> dict[str, int] | None: ...

    def memory(self) -> Memory | None: ...
