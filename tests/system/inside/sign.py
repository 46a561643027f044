"""The sign proves itself on the real character device: the coded pulse goes out on one line and comes back on another.

An emulated processor stands still for a while now and then, when its host is busy; the lamp then follows late, and the
pulse is refused as it must be. So a good lamp gets PATIENCE pulses to be believed, and a bad one as many to be believed
wrongly.
"""

from __future__ import annotations

import asyncio
from random import SystemRandom
from typing import Any

import pytest

from device.edges.clock_system import SystemClock
from device.supervisor.sign_pulse import Answer, draw_code, play

PATIENCE = 8
WITHIN_S = 60.0


def pulses(lines: Any, most: int) -> list[Answer]:
    """The answers to pulses, up to the first that was followed."""

    async def scene() -> list[Answer]:
        answers: list[Answer] = []
        while len(answers) < most and not (answers and answers[-1].followed):
            code = draw_code(SystemRandom())
            answer = await play(code, lines.drive_sign, lines.sign_sensed, SystemClock(), lambda: True)
            assert answer is not None
            answers.append(answer)
        return answers

    return asyncio.run(asyncio.wait_for(scene(), WITHIN_S))


def test_a_lamp_that_shines_on_its_sensor_follows_the_pulse(housing: Any, record_property: Any) -> None:
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
def test_a_sensor_that_is_stuck_or_sees_another_light_follows_no_pulse(housing: Any, kind: str, finding: str) -> None:
    lines = housing.open()
    housing.wire("sign_sense", kind)
    answers = pulses(lines, 4)
    assert not any(answer.followed for answer in answers)
    assert all(finding in answer.finding for answer in answers)
