"""Searches memory for pieces of pictures by their bytes, and for pictures and templates by likeness.

By bytes: any of very many short rows of pixels, at any address. A row is PIECE bytes; every eight-byte word of it that
can lie on an aligned address is in one table, and every hit in the table is compared in full.

By likeness: a pattern of n numbers against every n numbers in a row that begin at an address divisible by STEP bytes
(where allocators and rows of pictures begin), as bytes, float32 or bfloat16. Likeness is Pearson's correlation, so
neither scale nor offset matters: a crop that was normalised, or a template that was not, is found as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tools.dev.proof.process_memory import Region

U8 = NDArray[np.uint8]
U64 = NDArray[np.uint64]
F32 = NDArray[np.float32]
Kind = Literal["u8", "f32", "bf16"]

PIECE = 24
"""Bytes that must be equal: with the noise of a real sensor no two rows of different pictures share as many."""
WORD = 8
VARIED = 10
"""Different values that a piece must have: a flat row says nothing."""
STEP = 16
CHUNK = 1 << 20
_HASH = np.uint64(0x9E3779B97F4A7C15)
_TABLE_BITS = 22
_LARGEST = 1e3
"""Larger floats are no pixels and no template."""


@dataclass(frozen=True, slots=True)
class Hit:
    """A hit: whose, which data, how like (1.0: equal bytes), and where."""

    whose: str
    what: str
    likeness: float
    region: str
    address: int


@dataclass(frozen=True, slots=True)
class Piece:
    """PIECE bytes of one person's picture."""

    whose: str
    what: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Pattern:
    """A pattern to be found by likeness of at least `least` (correlation)."""

    whose: str
    what: str
    kind: Kind
    values: F32
    least: float


def pieces_of(whose: str, what: str, rows: Iterable[U8]) -> list[Piece]:
    """One piece out of the middle of each row that has contrast."""
    found = []
    for row in rows:
        flat = np.ascontiguousarray(row).reshape(-1)
        middle = flat[(flat.size - PIECE) // 2 :][:PIECE]
        if flat.size >= PIECE and len(np.unique(middle)) >= VARIED:
            found.append(Piece(whose, what, middle.tobytes()))
    return found


class Pieces:
    """Very many pieces, indexed to be found at once."""

    def __init__(self, pieces: Sequence[Piece]) -> None:
        self._pieces = list(pieces)
        content = np.frombuffer(b"".join(p.content for p in self._pieces), np.uint8).reshape(-1, PIECE)
        words = np.stack(
            [np.ascontiguousarray(content[:, at : at + WORD]).view(np.uint64)[:, 0] for at in range(WORD)]
        )  # (WORD, n): one of the first WORD shifts lies on an aligned address wherever the piece does
        order = np.argsort(words.reshape(-1), kind="stable")
        self._words: U64 = words.reshape(-1)[order]
        self._shift, self._index = order // len(self._pieces), order % len(self._pieces)
        self._known = np.zeros(1 << _TABLE_BITS, bool)
        self._known[_slots(self._words)] = True

    def __len__(self) -> int:
        return len(self._pieces)

    def find(self, regions: Iterable[Region]) -> list[Hit]:
        """Every piece that is found."""
        hits: list[Hit] = []
        for region in regions:
            memory = region.content[: region.content.size // WORD * WORD].view(np.uint64)
            for start in range(0, memory.size, CHUNK):
                part = memory[start : start + CHUNK]
                likely = np.flatnonzero(self._known[_slots(part)])
                at = np.searchsorted(self._words, part[likely])
                for place, entry in zip(likely, at, strict=True):
                    hits += self._compare(region, (start + int(place)) * WORD, int(entry), part[place])
        return hits

    def _compare(self, region: Region, offset: int, entry: int, word: np.uint64) -> list[Hit]:
        hits = []
        while entry < self._words.size and self._words[entry] == word:
            piece = self._pieces[self._index[entry]]
            begin = offset - int(self._shift[entry])
            if begin >= 0 and region.content[begin : begin + PIECE].tobytes() == piece.content:
                hits.append(Hit(piece.whose, piece.what, 1.0, region.name, region.start + begin))
            entry += 1
        return hits


def _slots(words: U64) -> NDArray[np.intp]:
    slots: NDArray[np.intp] = ((words * _HASH) >> np.uint64(64 - _TABLE_BITS)).astype(np.intp)
    return slots


def find_alike(regions: Iterable[Region], patterns: Sequence[Pattern]) -> list[Hit]:
    """Every place that is as like a pattern as the pattern requires."""
    groups: dict[tuple[Kind, int], list[Pattern]] = {}
    for pattern in patterns:
        groups.setdefault((pattern.kind, pattern.values.size), []).append(pattern)
    hits: list[Hit] = []
    for region in regions:
        for (kind, length), group in groups.items():
            wanted = np.stack([_unit(p.values) for p in group], axis=1)
            least = np.array([p.least for p in group], np.float32)
            size = {"u8": 1, "bf16": 2, "f32": 4}[kind]
            for start in range(0, region.content.size, CHUNK):
                part = region.content[start : start + CHUNK + length * size]
                for offset, which, likeness in _in_part(part, kind, length, wanted, least):
                    pattern = group[which]
                    hits.append(Hit(pattern.whose, pattern.what, likeness, region.name, region.start + start + offset))
    return hits


def _in_part(part: U8, kind: Kind, length: int, wanted: F32, least: F32) -> list[tuple[int, int, float]]:
    """Byte offset, number of the pattern and likeness of every hit in a piece of memory."""
    values = _numbers(part, kind)
    if not values.any():
        return []
    size = {"u8": 1, "bf16": 2, "f32": 4}[kind]
    spread = _spread(values, length)
    found = []
    for phase in range(0, length, STEP // size):
        rows = values[phase : phase + (values.size - phase) // length * length].reshape(-1, length)
        here = spread[phase::length][: len(rows)]
        live = np.flatnonzero(here > 1e-6)
        if not live.size:
            continue
        chosen = rows if 2 * live.size > len(rows) else rows[live]
        named = np.arange(len(rows)) if chosen is rows else live
        likeness = chosen @ wanted
        limit = np.sqrt(np.maximum(here[named], 0)).astype(np.float32)
        for row, which in np.argwhere((likeness >= limit[:, None] * least) & (here[named] > 1e-6)[:, None]):
            offset = (phase + int(named[row]) * length) * size
            found.append((offset, int(which), float(likeness[row, which] / limit[row])))
    return found


def _spread(values: F32, length: int) -> NDArray[np.float64]:
    """Sum of squares about the mean of every `length` values in a row, by their first; from running sums."""
    sums, squares = (
        np.concatenate([[0.0], np.cumsum(each, dtype=np.float64)]) for each in (values, values.astype(np.float64) ** 2)
    )
    total = sums[length:] - sums[:-length]
    spread: NDArray[np.float64] = squares[length:] - squares[:-length] - total * total / length
    return spread


def _numbers(part: U8, kind: Kind) -> F32:
    """Memory read as numbers of a kind; what can be neither pixel nor template is 0."""
    if kind == "u8":
        return part.astype(np.float32)
    if kind == "f32":
        values: F32 = part[: part.size // 4 * 4].view(np.float32).copy()
    else:
        values = (part[: part.size // 2 * 2].view(np.uint16).astype(np.uint32) << 16).view(np.float32)
    with np.errstate(invalid="ignore"):
        values[~(np.abs(values) < _LARGEST)] = 0
    return values


def _unit(values: F32) -> F32:
    centred = values.astype(np.float32).reshape(-1) - np.float32(values.mean())
    unit: F32 = (centred / np.linalg.norm(centred)).astype(np.float32)
    return unit
