"""Times of several calls in turns, so that other load of the machine affects all of them alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Ratio:
    """How many times as fast one thing is as another: the median over rounds, and the middle half of them.

    low, high  None of one round: it has no spread
    """

    median: float
    low: float | None
    high: float | None


def interleaved(
    calls: Mapping[str, Callable[[int], object]],
    rounds: int,
    clock: Callable[[], float] = time.perf_counter,
    tick: Callable[[], None] = lambda: None,
) -> dict[str, F64]:
    """Milliseconds (rounds,) of each call; a call is given its round. Every round starts with another of them."""
    taken_ms = {name: np.zeros(rounds) for name in calls}
    names = list(calls)
    for turn in range(rounds):
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            started = clock()
            calls[name](turn)
            taken_ms[name][turn] = (clock() - started) * 1e3
        tick()
    return taken_ms


def ratio(slow_ms: F64, fast_ms: F64) -> Ratio:
    """Of two rows of `interleaved`, round by round: what disturbed a round disturbed both."""
    if len(slow_ms) == 1:
        return Ratio(float(slow_ms[0] / fast_ms[0]), None, None)
    low, median, high = (float(value) for value in np.quantile(slow_ms / fast_ms, [0.25, 0.5, 0.75]))
    return Ratio(median, low, high)
