"""LFW's pairs file: ten folds of same and different pairs; accuracy on each at the threshold of the other nine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from calibration.faces import Faces
from device.errors import EvidenceUnusable


def verified(path: Path, faces: Faces) -> dict[str, Any]:
    """Mean accuracy and its standard error over the folds. Raises EvidenceUnusable for a file that is none.

    Format: first line folds and pairs a kind; then per fold `name i j` (same person) and `name i other j`.
    """
    place = {name: row for row, name in enumerate(faces.files)}
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        head = [int(part) for part in lines[0].split()]
        folds, each = (head[0], head[1]) if len(head) == 2 else (10, head[0])
        wanted = [_pair(line) for line in lines[1:] if line.strip()]
    except (OSError, UnicodeDecodeError, ValueError, IndexError) as fault:
        raise EvidenceUnusable(f"{path}: not a pairs file in LFW's format ({fault})") from fault
    if folds < 2 or len(wanted) != folds * each * 2:
        raise EvidenceUnusable(f"{path}: {folds} folds of 2 x {each} pairs announced, {len(wanted)} pairs found")
    fold = np.repeat(np.arange(folds), each * 2)
    known = np.array([one in place and other in place for one, other, _ in wanted])
    if not all(known[fold == k].any() for k in range(folds)):
        raise EvidenceUnusable(f"{path}: a fold has no pair whose photos are both in the data set")
    rows = [(place[a], place[b], same) for (a, b, same), ok in zip(wanted, known, strict=True) if ok]
    score = np.array([float(faces.templates[a] @ faces.templates[b]) for a, b, _ in rows])
    same, fold = np.array([s for _, _, s in rows]), fold[known]
    accuracy = []
    for k in range(folds):
        threshold = _best(score[fold != k], same[fold != k])
        accuracy.append(float(((score[fold == k] >= threshold) == same[fold == k]).mean()))
    return {
        "accuracy": float(np.mean(accuracy)),
        "standard_error": float(np.std(accuracy, ddof=1) / np.sqrt(folds)),
        "folds": folds,
        "pairs": len(rows),
        "missing": int((~known).sum()),
    }


def _pair(line: str) -> tuple[str, str, bool]:
    parts = line.split("\t") if "\t" in line else line.split()
    if len(parts) == 3:
        return _photo(parts[0], parts[1]), _photo(parts[0], parts[2]), True
    if len(parts) == 4:
        return _photo(parts[0], parts[1]), _photo(parts[2], parts[3]), False
    raise ValueError(f"{line!r} has {len(parts)} fields, 3 or 4 are expected")


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
