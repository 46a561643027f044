"""Files as regions, so that disks are searched like memory: a folder, or all of a machine that may hold a trace.

1. `PLACES` are folders where any program of any user may write, with every file system that is mounted below them.
2. Of these, files that are new or changed since a moment are read, whoever wrote them.
3. A file that exists and cannot be read is reported, never skipped. Files deleted meanwhile are ignored.
4. A file is read in parts that overlap by more than the longest pattern.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from tools.dev.demo.leftovers import changed, listing
from tools.dev.proof.process_memory import Region
from tools.dev.proof.search import STEP, WORD

PLACES = tuple(map(Path, ("/tmp", "/var/tmp", "/dev/shm", "/run")))
PART = 64 << 20
OVERLAP = 4096  # a template of 512 numbers is half of it


class Disks:
    """The state of some places when this was made."""

    def __init__(self, places: Iterable[Path] = PLACES, *, but: Iterable[Path] = ()) -> None:
        """but: files that hold a pattern by design, such as the recording itself."""
        self._places = tuple(places)
        self._but = frozenset(but)
        self._before = listing(with_mounts(self._places))
        self.unread: list[str] = []
        """What could not be read (rule 3)."""

    def written(self) -> Iterator[Region]:
        """Every part of every file that is new or was written to since (rule 2)."""
        for path in changed(self._before, listing(with_mounts(self._places))):
            if path in self._but:
                continue
            try:
                yield from parts_of(path)
            except FileNotFoundError:
                continue
            except OSError as fault:
                self.unread.append(f"{path}: {fault.strerror}")


def parts_of(path: Path) -> Iterator[Region]:
    """One file (rule 4)."""
    with path.open("rb") as file:
        at = 0
        while content := file.read(PART):
            padded = content + bytes(-len(content) % WORD)
            yield Region(at, str(path), np.frombuffer(padded, np.uint8))
            if len(content) < PART:
                return
            at += PART - OVERLAP
            file.seek(at)


def below(root: Path, *, but: Iterable[Path] = ()) -> Iterator[Region]:
    """Every file below a folder, whenever it was written."""
    left_out = frozenset(but)
    for path in sorted(root.rglob("*")):
        if path.is_file() and not path.is_symlink() and path not in left_out:
            yield from parts_of(path)


def with_mounts(places: Iterable[Path], mounts: Path = Path("/proc/self/mounts")) -> tuple[Path, ...]:
    """These places and what is mounted below them (rule 1)."""
    mounted = [Path(os.fsdecode(line.split(b" ")[1])) for line in mounts.read_bytes().splitlines()]
    found = {place.resolve() for place in places if place.is_dir()}
    return tuple(sorted(found | {m for m in mounted if any(place in m.parents for place in found)}))


def at_any_byte(regions: Iterable[Region], step: int = STEP) -> Iterator[Region]:
    """The same, shifted so that patterns at multiples of `step` bytes (search.py) are searched for at every byte."""
    for region in regions:
        for shift in range(step):
            content = region.content[shift:]
            yield Region(region.start + shift, region.name, content[: content.size // WORD * WORD])
