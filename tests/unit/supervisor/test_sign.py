"""The sign is believed only as sensed, and only after it was dark."""

from __future__ import annotations

from device.edges.clock_fake import FakeClock
from device.edges.lines_simulated import SimulatedLines
from device.supervisor.sign import SETTLE_S, Sign
from device.supervisor.snapshot import SignView


def samples(sign: Sign, clock: FakeClock, number: int) -> SignView:
    view = sign.sample()
    for _ in range(number - 1):
        clock.advance(0.1)
        view = sign.sample()
    return view


def fresh() -> tuple[Sign, SimulatedLines, FakeClock]:
    lines, clock = SimulatedLines(), FakeClock()
    return Sign(lines, clock), lines, clock


def test_it_is_not_lit_before_it_was_sensed_dark() -> None:
    sign, lines, clock = fresh()
    lines.stray_light = True
    samples(sign, clock, 5)
    sign.drive(True)
    assert not lines.sign_driven
    lines.stray_light = False
    samples(sign, clock, 2)
    sign.drive(True)
    assert lines.sign_driven


def test_dark_then_lit_is_a_proof() -> None:
    sign, _, clock = fresh()
    samples(sign, clock, 2)
    sign.drive(True)
    assert not sign.sample().proved
    clock.advance(0.1)
    assert sign.sample().proved


def test_one_flicker_is_not_a_failure_and_two_readings_are() -> None:
    sign, lines, clock = fresh()
    samples(sign, clock, 2)
    sign.drive(True)
    assert samples(sign, clock, 2).sensed
    lines.lamp_works = False
    assert sign.sample().sensed
    assert not sign.sample().sensed


def test_a_lamp_gets_time_to_light_before_it_counts_as_dark() -> None:
    sign, lines, clock = fresh()
    lines.lamp_works = False
    samples(sign, clock, 2)
    sign.drive(True)
    assert samples(sign, clock, 5).settling
    clock.advance(SETTLE_S)
    assert not sign.sample().settling


def test_switching_off_ends_the_proof() -> None:
    sign, _, clock = fresh()
    samples(sign, clock, 2)
    sign.drive(True)
    assert samples(sign, clock, 2).proved
    sign.drive(False)
    assert not sign.sample().proved
