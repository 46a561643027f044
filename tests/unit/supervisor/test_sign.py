"""The sign counts as lit only if sensed, after it was dark, and while it follows its pulse. Virtual time."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

import pytest

from device.domain.time import NS_PER_S
from device.errors import GpioUnavailable
from device.supervisor.sign.monitor import KINDS, READINGS
from device.supervisor.sign.pulse import DARK, PULSE_S, SLOT_S
from device.supervisor.timing import HOLD_OFF_S, PULSE_EVERY_S, PULSE_REPEAT_S, REPROOF_S, SIGN_READ_S
from tests.unit.supervisor.sign_bench import STEP_S, Bench, Play, scene, trusted


def pulsed_again(bench: Bench) -> Callable[[], bool]:
    """Whether another pulse was followed since this call."""
    before = bench.sign.counts.pulses
    return lambda: bench.sign.counts.pulses > before


def test_it_is_not_lit_before_it_was_sensed_dark(play: Play) -> None:
    async def acts(b: Bench) -> None:
        b.lines.stray_light = True
        await asyncio.sleep(1)
        b.sign.drive(True)
        assert not b.lines.sign_driven
        b.lines.stray_light = False
        await asyncio.sleep(READINGS * SIGN_READ_S + STEP_S)
        b.sign.drive(True)
        assert b.lines.sign_driven

    scene(play, Bench(), acts)


def test_dark_then_lit_then_its_first_pulse_is_a_proof(play: Play) -> None:
    async def acts(b: Bench) -> None:
        await asyncio.sleep(0.5)
        b.sign.drive(True)
        took = await b.until(lambda: b.sign.view().proved, 0.5)
        assert took >= (READINGS - 1) * SIGN_READ_S
        assert b.sign.view().follows is None
        took = await b.until(lambda: b.sign.view().follows is not None, 2.0)
        assert took <= PULSE_S + 2 * SIGN_READ_S
        view = b.sign.view()
        assert (view.follows, view.sensed, view.finding, view.problem) == (True, True, "", "")
        assert view.lag_ms == pytest.approx(b.lines.lag_s * 1000, abs=STEP_S * 1000)

    scene(play, Bench(), acts)


@pytest.mark.slow
def test_it_pulses_within_every_30_seconds_with_a_new_code_and_three_flashes_a_second(play: Play) -> None:
    async def acts(b: Bench) -> None:
        await b.lit()
        before, begun, worst = b.sign.counts.pulses, b.now, 0.0
        while b.sign.counts.pulses < before + 40:
            worst = max(worst, await b.until(pulsed_again(b), PULSE_EVERY_S))
        assert b.sign.counts.pulses_failed == 0
        assert b.now - begun > 40 * 20
        assert worst < PULSE_EVERY_S
        dark = [at for at, lit in b.lines.switchings if not lit and at > begun]
        assert len(dark) == 40 * DARK
        assert all(later - at > 1.0 for at, later in zip(dark, dark[DARK:], strict=False))
        codes = {tuple(round(at - dark[n], 2) for at in dark[n : n + DARK]) for n in range(0, len(dark), DARK)}
        assert len(codes) > 10
        assert trusted(b)

    scene(play, Bench(), acts)


def test_one_bad_reading_is_no_failure_and_three_are(play: Play) -> None:
    async def acts(b: Bench) -> None:
        await b.lit()
        b.lines.wire_cut = True
        await asyncio.sleep(SIGN_READ_S)
        b.lines.wire_cut = False
        await asyncio.sleep(1)
        assert trusted(b)
        b.lines.lamp_works = False
        assert await b.until(lambda: not trusted(b), 1.0) <= (READINGS + 1) * SIGN_READ_S
        assert not b.sign.view().sensed

    scene(play, Bench(), acts)


FAULTS: dict[str, tuple[dict[str, Any], float, str]] = {
    "the lamp burns out": ({"lamp_works": False}, 0.3, ""),
    "the sensor's wire is cut": ({"wire_cut": True}, 0.3, ""),
    "the chip is gone": ({"failing": True}, 0.1, "lines fail as requested"),
    "a loose contact": ({"flicker_s": 0.08}, 5.0, "of the last 10 s"),
    "the sun shines on a dead lamp": ({"lamp_works": False, "stray_light": True}, 30.0, "lit in 3 of 3 dark"),
    "the sun shines on the sensor": ({"stray_light": True}, 30.0, "lit in 3 of 3 dark"),
    "a relay is welded": ({"lamp_stuck": True}, 30.0, "lit in 3 of 3 dark"),
    "a supply holds up": ({"lag_s": 0.06}, 30.0, "lit in 3 of 3 dark slots, sensed dark in"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_every_fault_is_found_within_its_time(play: Play, fault: str) -> None:
    changes, within_s, says = FAULTS[fault]

    async def acts(b: Bench) -> None:
        await b.lit()
        for name, value in changes.items():
            setattr(b.lines, name, value)
        await b.until(lambda: not trusted(b), within_s)
        view = b.sign.view()
        assert says in view.finding + view.problem

    scene(play, Bench(), acts)


@pytest.mark.parametrize("fault", FAULTS)
def test_with_any_fault_from_the_start_the_sign_never_counts_as_lit(play: Play, fault: str) -> None:
    changes = FAULTS[fault][0]

    async def acts(b: Bench) -> None:
        for name, value in changes.items():
            setattr(b.lines, name, value)
        for _ in range(6000):
            with contextlib.suppress(GpioUnavailable):
                b.sign.drive(b.sign.view().follows is not False)
            assert not trusted(b)
            await asyncio.sleep(STEP_S)

    scene(play, Bench(), acts)


def test_one_wrong_pulse_is_repeated_a_second_later_and_forgiven(play: Play) -> None:
    async def acts(b: Bench) -> None:
        await b.lit()
        b.lines.stray_light = True
        await b.until(lambda: b.sign.counts.pulses_failed == 1, PULSE_EVERY_S)
        b.lines.stray_light = False
        assert await b.until(pulsed_again(b), 2.0) <= PULSE_REPEAT_S + SLOT_S
        await asyncio.sleep(1)
        assert trusted(b)
        assert b.sign.counts.pulses_failed == 1

    scene(play, Bench(), acts)


def test_after_a_failed_proof_it_stays_dark_longer_each_time(play: Play) -> None:
    async def acts(b: Bench) -> None:
        rests = []
        b.lines.lag_s = 0.06
        for _ in range(3):
            while b.sign.view().follows is not False:
                b.sign.drive(True)
                await asyncio.sleep(STEP_S)
            b.sign.drive(False)
            out = b.now
            while not b.lines.sign_driven:
                b.sign.drive(True)
                await asyncio.sleep(STEP_S)
            rests.append(b.now - out)
        assert rests == pytest.approx([HOLD_OFF_S, 2 * HOLD_OFF_S, 4 * HOLD_OFF_S], abs=0.1)
        b.lines.lag_s = 0.01
        await b.lit()

    scene(play, Bench(), acts)


def test_put_out_during_a_pulse_it_stays_out(play: Play) -> None:
    async def acts(b: Bench) -> None:
        await asyncio.sleep(0.5)
        b.sign.drive(True)
        await b.until(lambda: len(b.lines.switchings) >= 3, 5.0)
        b.sign.drive(False)
        switchings = len(b.lines.switchings)
        await asyncio.sleep(5)
        assert not b.lines.sign_driven
        assert len(b.lines.switchings) == switchings
        assert b.sign.view().follows is None

    scene(play, Bench(), acts)


def test_a_pulse_that_is_cut_short_leaves_the_sign_lit(play: Play) -> None:
    async def acts(b: Bench) -> None:
        task = asyncio.create_task(b.sign.run())
        await asyncio.sleep(0.5)
        b.sign.drive(True)
        await b.until(lambda: bool(b.lines.switchings) and not b.lines.switchings[-1][1], 5.0)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        assert b.lines.sign_driven

    b = Bench()
    play(b.clock, acts(b))


def test_lines_that_come_back_drive_what_was_wanted(play: Play) -> None:
    async def acts(b: Bench) -> None:
        await asyncio.sleep(0.5)
        b.sign.drive(True)
        await b.until(lambda: len(b.lines.switchings) >= 2, 5.0)
        driven: list[bool] = [b.lines.sign_driven]
        assert driven == [False], "in a dark slot"
        b.lines.failing = True
        await asyncio.sleep(1)
        assert "lines fail as requested" in b.sign.view().problem
        b.lines.failing = False
        await asyncio.sleep(3 * SIGN_READ_S)
        assert b.lines.sign_driven
        await b.lit()

    scene(play, Bench(), acts)


def test_a_sign_that_cannot_pulse_goes_dark_as_a_whole_every_ten_minutes(play: Play) -> None:
    async def acts(b: Bench) -> None:
        b.lines.lag_s = 4.0
        await b.lit()
        switchings = len(b.lines.switchings)
        took = await b.until(lambda: not trusted(b), REPROOF_S + 10)
        assert took == pytest.approx(REPROOF_S, abs=1.0)
        assert len(b.lines.switchings) == switchings
        assert "cannot follow pulses" in b.sign.view().finding
        b.sign.drive(False)
        b.sign.drive(True)
        assert not b.lines.sign_driven
        while not b.sign.view().follows:
            b.sign.drive(True)
            await asyncio.sleep(STEP_S)
        assert b.sign.counts.pulses == 0

    scene(play, Bench("discharge"), acts)


def test_a_lamp_gets_time_to_light_before_it_counts_as_dark(play: Play) -> None:
    async def acts(b: Bench) -> None:
        b.lines.lamp_works = False
        await asyncio.sleep(0.5)
        b.sign.drive(True)
        await asyncio.sleep(KINDS["led"].settle_s - 0.1)
        assert b.sign.view().settling
        await asyncio.sleep(0.2)
        assert not b.sign.view().settling
        assert not b.sign.view().sensed

    scene(play, Bench(), acts)


def test_dark_counts_while_somebody_looks_and_pulses_do_not(play: Play) -> None:
    async def acts(b: Bench) -> None:
        await b.lit()
        b.sign.counts.dark_ns = 0
        await asyncio.sleep(100)
        assert b.sign.counts.dark_ns == 0
        b.lines.lamp_works = False
        await asyncio.sleep(0.5)
        b.watched = False
        await asyncio.sleep(10)
        assert b.sign.counts.dark_ns / NS_PER_S == pytest.approx(0.5, abs=2 * SIGN_READ_S)

    scene(play, Bench(), acts)


def test_a_sensor_that_nobody_reads_saw_nothing() -> None:
    b = Bench()
    for _ in range(READINGS):
        b.sign.look()
        b.clock.advance(SIGN_READ_S)
    b.sign.drive(True)
    for _ in range(READINGS + 1):
        b.clock.advance(SIGN_READ_S)
        b.sign.look()
    assert b.sign.view().sensed
    b.clock.advance(1.1)
    assert not b.sign.view().sensed
    assert "not read for 1.1 s" in b.sign.view().problem
    b.sign.look()
    assert "dark for 1." in b.sign.view().problem
