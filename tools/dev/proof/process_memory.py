"""The memory of another process, as a debugger run by root reads it.

1. `mem`, `maps` and `pagemap` are opened before the process locks itself down (proc(5): access is checked when they are
   opened); a file that cannot be opened is an error, never an empty memory.
2. The process is stopped while its memory is copied, and continues at once; the copy is searched afterwards.
3. Every page that exists and can hold data is copied: all but the unwritable pages of files (code and constants).
4. Pages that are the same as in an earlier copy, from before the first picture, are not searched: `changed_since`.
"""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

U8 = NDArray[np.uint8]
LEAST_BYTES = 10_000_000
"""A Python process with a runtime holds more than this: less was no view of its memory."""
_MAPS_BYTES = 1 << 20
PAGE = 4096
STILL_WITHIN_S = 10.0
_THERE = np.uint64(3 << 62)  # proc_pid_pagemap(5): present, or swapped
_NOT_DATA = ("[vvar]", "[vsyscall]", "[vvar_vclock]")


class NoView(Exception):
    """The memory cannot be read; the search has failed."""


@dataclass(frozen=True, slots=True)
class Region:
    """A piece of memory: where it was, what the kernel calls it, and what was in it."""

    start: int
    name: str
    content: U8


class ProcessMemory:
    """One process's memory, opened once."""

    def __init__(self, pid: int) -> None:
        """Raises NoView."""
        self.pid = pid
        try:
            self._mem, self._maps, self._pages = (
                os.open(f"/proc/{pid}/{name}", os.O_RDONLY) for name in ("mem", "maps", "pagemap")
            )
        except OSError as fault:
            raise NoView(f"the memory of process {pid} cannot be opened: {fault.strerror}") from fault

    def close(self) -> None:
        for opened in (self._mem, self._maps, self._pages):
            os.close(opened)

    def copy(self, least_bytes: int = LEAST_BYTES) -> list[Region]:
        """All data of the process at one moment (rules 2 and 3). Raises NoView when less than that was readable."""
        os.kill(self.pid, signal.SIGSTOP)
        try:
            _until_stopped(self.pid)
            regions = [region for start, end, name in self._rows() for region in self._read(start, end, name)]
        finally:
            os.kill(self.pid, signal.SIGCONT)
        seen = sum(region.content.size for region in regions)
        if seen < least_bytes:
            raise NoView(f"only {seen} bytes of process {self.pid} can be seen")
        return regions

    def _rows(self) -> list[tuple[int, int, str]]:
        """Start, end and name of every mapping that can hold data."""
        text, at = b"", 0
        while part := os.pread(self._maps, _MAPS_BYTES, at):
            text, at = text + part, at + len(part)
        rows = []
        for line in text.decode(errors="replace").splitlines():
            span, rights, _, _, inode, *name = line.split(maxsplit=5)
            start, _, end = span.partition("-")
            of_a_file = inode != "0" and "w" not in rights
            if not of_a_file and (name or [""])[0] not in _NOT_DATA:
                rows.append((int(start, 16), int(end, 16), (name or ["anonymous"])[0]))
        return rows

    def _read(self, start: int, end: int, name: str) -> list[Region]:
        """The pages of a mapping that are there, one region for each run of them."""
        entries = np.frombuffer(os.pread(self._pages, (end - start) // PAGE * 8, start // PAGE * 8), np.uint64)
        there = np.flatnonzero((entries & _THERE) != 0)
        runs = np.split(there, np.flatnonzero(np.diff(there) > 1) + 1) if there.size else []
        regions = []
        for run in runs:
            content = np.empty(run.size * PAGE, np.uint8)
            first = start + int(run[0]) * PAGE
            try:
                got = os.preadv(self._mem, [content.data], first)
            except OSError as fault:
                raise NoView(f"{name} at {first:#x} cannot be read: {fault.strerror}") from fault
            if got != content.size:
                raise NoView(f"{name} at {first:#x}: {got} of {content.size} bytes")
            regions.append(Region(first, name, content))
        return regions


def changed_since(before: list[Region], now: list[Region]) -> list[Region]:
    """What of `now` differs from `before`, page by page, adjacent pages together (rule 4)."""
    known = {r.start + at: r.content[at : at + PAGE] for r in before for at in range(0, r.content.size, PAGE)}
    regions = []
    for region in now:
        pages = region.content.reshape(-1, PAGE)
        new = np.array(
            [
                (old := known.get(region.start + n * PAGE)) is None or page.tobytes() != old.tobytes()
                for n, page in enumerate(pages)
            ]
        )
        at = np.flatnonzero(new)
        for run in np.split(at, np.flatnonzero(np.diff(at) > 1) + 1) if at.size else []:
            content = pages[run[0] : run[-1] + 1].reshape(-1)
            regions.append(Region(region.start + int(run[0]) * PAGE, region.name, content))
    return regions


def _until_stopped(pid: int) -> None:
    """Wait until every thread of it has stopped."""
    states: list[str] = []
    deadline = time.monotonic() + STILL_WITHIN_S
    while time.monotonic() < deadline:
        states = []
        for status in Path(f"/proc/{pid}/task").glob("*/stat"):
            states.append(status.read_text().rpartition(") ")[2][0])
        if states and all(state in "Tt" for state in states):
            return
        time.sleep(0.001)
    raise NoView(f"process {pid} does not stop: its threads are {''.join(states) or 'gone'}")
