"""Look-alike entries: two records of one person, or two people whom the recogniser confuses."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from device.domain.sight import F32

LIKE_ONE_PERSON = 0.6
"""Cosine. On LFW fewer than 3 in 10,000 searches of a list of 1,822 reach .606 against another person."""
_BLOCK = 512


def alike(templates: Sequence[F32]) -> Iterator[tuple[int, int, float]]:
    """Pairs (i < j) of entries with any photo of one like any photo of the other; templates[i] (k, 128), unit rows."""
    if len(templates) < 2:
        return
    stacked = np.concatenate(templates)
    owner = np.repeat(np.arange(len(templates)), [len(rows) for rows in templates])
    best: dict[tuple[int, int], float] = {}
    for start in range(0, len(stacked), _BLOCK):
        scores = stacked[start : start + _BLOCK] @ stacked[start:].T
        for row, column in np.argwhere(scores > LIKE_ONE_PERSON):
            first, second = int(owner[start + row]), int(owner[start + column])
            if first < second:
                pair = (first, second)
                best[pair] = max(best.get(pair, -1.0), float(scores[row, column]))
    for (first, second), score in sorted(best.items()):
        yield first, second, score
