"""Turns and ratios, on a clock with scripted times."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from engines.verify.timing import interleaved, ratio


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def test_calls_take_turns_and_another_one_starts_each_round() -> None:
    clock = Clock()
    order: list[tuple[int, str]] = []
    ticks: list[int] = []

    def call(name: str, takes_ms: float) -> Callable[[int], None]:
        def run(turn: int) -> None:
            order.append((turn, name))
            clock.now_s += takes_ms * (turn + 1) / 1e3

        return run

    taken = interleaved({"a": call("a", 2), "b": call("b", 3)}, 3, clock, lambda: ticks.append(1))
    assert order == [(0, "a"), (0, "b"), (1, "b"), (1, "a"), (2, "a"), (2, "b")]
    assert taken["a"] == pytest.approx([2, 4, 6])
    assert taken["b"] == pytest.approx([3, 6, 9])
    assert len(ticks) == 3


def test_a_ratio_is_taken_round_by_round_so_that_a_slow_round_changes_nothing() -> None:
    slow, fast = np.array([30.0, 300.0, 30.0]), np.array([10.0, 100.0, 10.0])
    found = ratio(slow, fast)
    assert (found.median, found.low, found.high) == pytest.approx((3, 3, 3))
    assert ratio(fast, slow).median == pytest.approx(1 / 3)
