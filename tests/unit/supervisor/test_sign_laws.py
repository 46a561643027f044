"""Laws of the sign over random codes, faults and suns. Virtual time."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device.edges.clock.fake import FakeClock
from device.edges.gpio.simulated import SimulatedGpio
from device.errors import GpioUnavailable
from device.supervisor.sign.pulse import DARK, LAG_S, SLOT_S, SLOTS, draw_code
from device.supervisor.timing import PULSE_EVERY_S
from tests.unit.supervisor.sign_bench import STEP_S, Bench, Play, scene, trusted


@given(st.randoms(use_true_random=False))
def test_a_code_has_three_single_dark_slots_and_ends_lit(source: Random) -> None:
    code = draw_code(source)
    assert len(code) == SLOTS
    assert code.count(False) == DARK
    assert code[-1]
    assert all(one or other for one, other in itertools.pairwise(code))
    assert LAG_S < SLOT_S


FAULT = st.sampled_from(("lamp_works", "wire_cut", "flicker_s", "lag_s", "failing", "lamp_stuck"))
SCHEDULE = st.lists(st.tuples(FAULT, st.floats(0.05, 20.0), st.floats(0.05, 8.0)), min_size=1, max_size=6)
BROKEN: dict[str, Any] = {
    "lamp_works": False,
    "wire_cut": True,
    "flicker_s": 0.11,
    "lag_s": 0.2,
    "failing": True,
    "lamp_stuck": True,
    "stray_light": True,
}
WHOLE = {name: getattr(SimulatedGpio(FakeClock()), name) for name in BROKEN}


async def run_schedule(b: Bench, faults: list[tuple[str, float, float]], law: Callable[[float, float], None]) -> None:
    """Break and mend as scheduled, obeying the view as the supervisor does; the law gets two durations in seconds: how
    long the lamp has been dark, and how long the sign has counted as lit."""
    changes: list[tuple[float, str, Any]] = []
    at = b.now
    for name, after_s, for_s in faults:
        changes += [(at + after_s, name, BROKEN[name]), (at + after_s + for_s, name, WHOLE[name])]
        at += after_s
    dark_since, believed_since, end = b.now, b.now, max(change[0] for change in changes) + 3
    while b.now < end:
        for change in [c for c in changes if c[0] <= b.now]:
            changes.remove(change)
            setattr(b.lines, change[1], change[2])
        with contextlib.suppress(GpioUnavailable):
            b.sign.drive(b.sign.view().follows is not False)
        dark_since = b.now if b.lines.lamp_shines else dark_since
        believed_since = believed_since if trusted(b) else b.now
        law(b.now - dark_since, b.now - believed_since)
        await asyncio.sleep(STEP_S)


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(SCHEDULE, st.integers(0, 10_000))
def test_a_sign_that_has_been_dark_for_a_second_does_not_count_as_lit(
    play: Play, faults: list[tuple[str, float, float]], seed: int
) -> None:
    def law(dark_s: float, believed_s: float) -> None:
        assert dark_s <= 1.0 or believed_s == 0.0, f"dark for {dark_s:.2f} s and believed for {believed_s:.2f} s"

    async def acts(b: Bench) -> None:
        await run_schedule(b, faults, law)

    scene(play, Bench(seed=seed), acts)


@pytest.mark.slow
@settings(max_examples=15, deadline=None)
@given(
    st.lists(st.tuples(st.just("stray_light"), st.floats(0.05, 10.0), st.floats(0.05, 60.0)), min_size=1, max_size=4)
)
def test_no_sunlight_passes_for_a_sign(play: Play, suns: list[tuple[str, float, float]]) -> None:
    """A lamp that never lit never counts as lit in any sunlight. One that fails in sunlight does for half a minute."""

    def never(_: float, believed_s: float) -> None:
        assert believed_s == 0.0

    def half_a_minute(dark_s: float, believed_s: float) -> None:
        assert min(dark_s, believed_s) <= PULSE_EVERY_S

    async def dead(b: Bench) -> None:
        b.lines.lamp_works = False
        await run_schedule(b, suns, never)

    async def dies(b: Bench) -> None:
        await b.lit()
        b.lines.lamp_works = False
        b.lines.stray_light = True
        await run_schedule(b, suns, half_a_minute)

    scene(play, Bench(), dead)
    scene(play, Bench(), dies)
