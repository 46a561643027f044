"""The sign's check on the real character device: the coded pulse is driven on one line and sensed on another.

An emulated processor stands still for a while now and then, when its host is busy; the lamp then follows late, and the
pulse is refused as it must be. So a good lamp gets PATIENCE pulses to be believed, and a bad one as many to be believed
wrongly.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from random import SystemRandom
from typing import TYPE_CHECKING, Any

import pytest

from device.edges.clock.system import SystemClock
from device.supervisor.sign.monitor import KINDS, SignMonitor
from device.supervisor.sign.pulse import Answer, draw_code, play

if TYPE_CHECKING:
    from tests.system.inside.conftest import Housing

PATIENCE = 8
WITHIN_S = 60.0


def pulses(lines: Any, most: int) -> list[Answer]:
    """The sensed results of pulses, up to the first that was followed."""

    async def scene() -> list[Answer]:
        answers: list[Answer] = []
        while len(answers) < most and not (answers and answers[-1].followed):
            code = draw_code(SystemRandom())
            answer = await play(code, lines.drive_sign, lines.sign_sensed, SystemClock(), lambda: True)
            assert answer is not None
            answers.append(answer)
        return answers

    return asyncio.run(asyncio.wait_for(scene(), WITHIN_S))


def test_a_lamp_that_shines_on_its_sensor_follows_the_pulse(
    housing: Housing, record_property: Callable[[str, object], None]
) -> None:
    lines = housing.open()
    housing.wire("sign_sense", "follow", "sign")
    answers = pulses(lines, PATIENCE)
    assert answers[-1].followed, [answer.finding for answer in answers]
    record_property("pulses", len(answers))
    record_property("lag_ms", round((answers[-1].lag_s or 0.0) * 1000, 1))
    assert housing.value("sign") == 1


@pytest.mark.parametrize(
    ("kind", "finding"), [("up", "sensed lit in"), ("down", "sensed dark in"), ("blink", "sensed")]
)
def test_a_sensor_that_is_stuck_or_sees_another_light_follows_no_pulse(
    housing: Housing, kind: str, finding: str
) -> None:
    lines = housing.open()
    housing.wire("sign_sense", kind)
    answers = pulses(lines, 4)
    assert not any(answer.followed for answer in answers)
    assert all(finding in answer.finding for answer in answers)


def scene(lines: Any, play_it: Callable[[SignMonitor, Callable[..., Awaitable[None]]], Awaitable[None]]) -> None:
    """A supervisor's sign on these lines in real time, wanted lit all the while."""

    async def run() -> None:
        sign = SignMonitor(lines, SystemClock(), KINDS["led"], watched=lambda: True, on_change=lambda: None)

        async def until(what: Callable[[], object]) -> None:
            while not what():
                sign.drive(True)
                await asyncio.sleep(0.005)

        task = asyncio.create_task(sign.run())
        try:
            await play_it(sign, until)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    asyncio.run(asyncio.wait_for(run(), WITHIN_S))


def test_a_sensor_that_is_lit_while_the_sign_is_off_keeps_it_off_until_it_is_dark(housing: Housing) -> None:
    lines = housing.open()
    housing.wire("sign_sense", "up")

    async def play_it(sign: SignMonitor, until: Callable[..., Awaitable[None]]) -> None:
        await until(lambda: sign.view().sensed)
        for _ in range(100):
            sign.drive(True)
            await asyncio.sleep(0.005)
        assert not sign.view().driven, "what is lit while it is off is no sign of ours"
        assert housing.value("sign") == 0
        housing.wire("sign_sense", "follow", "sign")
        await until(lambda: sign.view().follows)
        assert housing.value("sign") == 1

    scene(lines, play_it)


def test_a_sensor_that_sticks_is_found_and_a_chip_that_goes_away_is_a_dark_sign(housing: Housing) -> None:
    lines = housing.open()
    housing.wire("sign_sense", "follow", "sign")

    async def play_it(sign: SignMonitor, until: Callable[..., Awaitable[None]]) -> None:
        await until(lambda: sign.view().follows)
        housing.wire("sign_sense", "down")
        await until(lambda: not sign.view().sensed)
        housing.wire("sign_sense", "follow", "sign")
        await until(lambda: sign.view().follows)
        housing.chips["tegra234-gpio"].vanish()
        await until(lambda: sign.view().problem)
        view = sign.view()
        assert (view.sensed, view.proved, view.follows) == (False, False, None)

    scene(lines, play_it)
