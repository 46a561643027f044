"""Searches disks for pictures, templates, reference photos and the listed person's name, which must not be there.

A needle is bytes that would be in a file if something had been written in the clear. Ciphertext holds none of them,
short of chance: every needle has at least 8 bytes.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

JFIF = bytes.fromhex("ffd8ffe000104a464946")  # start of every JPEG that our encoder writes (JFIF 1.02, section "APP0")
SHORTEST = 8
PIECE_BYTES = 48
CHUNK_BYTES = 4_000_000


@dataclass(frozen=True, slots=True)
class Needle:
    """Bytes that identify personal data, and its kind."""

    what: str
    bytes: bytes

    def __post_init__(self) -> None:
        if len(self.bytes) < SHORTEST:
            raise ValueError(f"a needle of {len(self.bytes)} bytes ({self.what}) would be found by chance")


def picture() -> Needle:
    """Any JPEG."""
    return Needle("a JPEG picture", JFIF)


def photo_piece(photo: Path) -> Needle:
    """A piece from the middle of one photo, so that it is found without its header too."""
    content = photo.read_bytes()
    middle = len(content) // 2
    return Needle("the reference photo", content[middle : middle + PIECE_BYTES])


def search(places: Iterable[Path], needles: Iterable[Needle]) -> list[tuple[Path, str]]:
    """Each file below `places` (or a place itself) that holds a needle, with what it holds; unreadable ones count."""
    wanted = tuple(needles)
    found = []
    for place in places:
        files = [place] if place.is_file() else (p for p in place.rglob("*") if p.is_file() and not p.is_symlink())
        for path in sorted(files):
            try:
                found += [(path, needle.what) for needle in wanted if holds(path, needle.bytes)]
            except FileNotFoundError:
                continue
            except OSError as fault:
                found.append((path, f"cannot be read: {fault.strerror}"))
    return found


def holds(path: Path, wanted: bytes) -> bool:
    """Whether a file holds some bytes; reads in pieces that overlap."""
    overlap = b""
    with path.open("rb") as file:
        while piece := file.read(CHUNK_BYTES):
            if wanted in overlap + piece:
                return True
            overlap = piece[-len(wanted) + 1 :]
    return False


def listing(places: Iterable[Path], ignored: frozenset[str] = frozenset()) -> dict[Path, tuple[int, int]]:
    """Modification time and size of every file below some places.

    Folders named in `ignored` are not entered, nor are other file systems or what may not be read.
    """
    seen: dict[Path, tuple[int, int]] = {}
    for place in places:
        if place.is_dir():
            _list_into(seen, place, ignored)
    return seen


def _list_into(seen: dict[Path, tuple[int, int]], place: Path, ignored: frozenset[str]) -> None:
    device = place.stat().st_dev
    todo = [str(place)]
    while todo:
        try:
            with os.scandir(todo.pop()) as entries:
                for entry in entries:
                    state = entry.stat(follow_symlinks=False)
                    if stat.S_ISREG(state.st_mode):
                        seen[Path(entry.path)] = (state.st_mtime_ns, state.st_size)
                    elif stat.S_ISDIR(state.st_mode) and state.st_dev == device and entry.name not in ignored:
                        todo.append(entry.path)
        except OSError:
            continue


def changed(before: dict[Path, tuple[int, int]], after: dict[Path, tuple[int, int]]) -> list[Path]:
    """Files that are new or written to."""
    return sorted(path for path, state in after.items() if before.get(path) != state)
