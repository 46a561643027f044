"""LFW's pairs file: ten folds of same and different pairs; accuracy on each at the threshold of the other nine.

Format: first line `folds pairs` (pairs of each kind in a fold), or `pairs` alone for ten folds; then per fold
`name i j` (photos i and j of one person) and `name i other j`, separated by tabs or blanks.
"""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from calibration.data.faces import Faces
from device.errors import EvidenceUnusable
from engines.error_text import error_text

TEN = 10


@dataclass(frozen=True, slots=True)
class Pairs:
    """`rows`: two photos and whether they show one person, fold after fold, 2 x `each` to a fold."""

    path: Path
    folds: int
    each: int
    rows: tuple[tuple[str, str, bool], ...]

    def require_in(self, photos: Set[str]) -> None:
        """Raises EvidenceUnusable when a fold has nothing in a data set of these photos."""
        for fold in range(self.folds):
            rows = self.rows[fold * self.each * 2 : (fold + 1) * self.each * 2]
            if not any(one in photos and other in photos for one, other, _ in rows):
                raise EvidenceUnusable(
                    f"{self.path}: fold {fold + 1} of {self.folds} has no pair whose photos are both in the data set, "
                    f"such as {rows[0][0]} and {rows[0][1]}"
                )


def read_pairs(path: Path, photos: Set[str]) -> Pairs:
    """The file, held against the names of a data set's photos. Raises EvidenceUnusable for one that is none."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as fault:
        raise EvidenceUnusable(f"{path}: cannot be read as a pairs file: {error_text(fault)}") from fault
    head = lines[0].split() if lines else []
    if len(head) not in (1, 2) or not all(_is_count(part) for part in head):
        raise EvidenceUnusable(f"{path}, line 1: folds and pairs of each kind are needed, such as `10 300`")
    folds, each = (int(head[0]), int(head[1])) if len(head) == 2 else (TEN, int(head[0]))
    rows = tuple(_pair(path, number, line) for number, line in enumerate(lines[1:], 2) if line.strip())
    if folds < 2 or each < 1 or len(rows) != folds * each * 2:
        raise EvidenceUnusable(f"{path}: {folds} folds of 2 x {each} pairs announced, {len(rows)} pairs found")
    pairs = Pairs(path, folds, each, rows)
    pairs.require_in(photos)
    return pairs


def verified(pairs: Pairs, faces: Faces) -> dict[str, Any]:
    """Mean accuracy and its standard error over the folds. Raises EvidenceUnusable when a fold has no usable pair."""
    place = {name: row for row, name in enumerate(faces.files)}
    pairs.require_in(place.keys())
    fold = np.repeat(np.arange(pairs.folds), pairs.each * 2)
    known = np.array([one in place and other in place for one, other, _ in pairs.rows])
    rows = [(place[a], place[b], same) for (a, b, same), ok in zip(pairs.rows, known, strict=True) if ok]
    score = np.array([float(faces.looks[a] @ faces.looks[b]) for a, b, _ in rows])
    same, fold = np.array([s for _, _, s in rows]), fold[known]
    accuracy = []
    for k in range(pairs.folds):
        threshold = _best(score[fold != k], same[fold != k])
        accuracy.append(float(((score[fold == k] >= threshold) == same[fold == k]).mean()))
    return {
        "accuracy": float(np.mean(accuracy)),
        "standard_error": float(np.std(accuracy, ddof=1) / np.sqrt(pairs.folds)),
        "folds": pairs.folds,
        "pairs": len(rows),
        "missing": int((~known).sum()),
    }


def _pair(path: Path, number: int, line: str) -> tuple[str, str, bool]:
    parts = [part.strip() for part in (line.split("\t") if "\t" in line else line.split())]
    if len(parts) == 3 and _is_count(parts[1]) and _is_count(parts[2]):
        return _photo(parts[0], parts[1]), _photo(parts[0], parts[2]), True
    if len(parts) == 4 and _is_count(parts[1]) and _is_count(parts[3]):
        return _photo(parts[0], parts[1]), _photo(parts[2], parts[3]), False
    raise EvidenceUnusable(f"{path}, line {number}: `name i j` or `name i other j` is needed; found {line[:60]!r}")


def _is_count(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 7


def _photo(person: str, number: str) -> str:
    return f"{person}/{person}_{int(number):04d}.jpg"


def _best(score: Any, same: Any) -> float:
    """The threshold of the highest accuracy, in the middle of its gap."""
    order = np.argsort(score)
    right = np.concatenate([[same.sum()], same.sum() + np.cumsum(np.where(same[order], -1, 1))])
    at = int(np.argmax(right))
    low = score[order[at - 1]] if at else score[order[0]] - 1
    high = score[order[at]] if at < len(score) else score[order[-1]] + 1
    return float((low + high) / 2)
