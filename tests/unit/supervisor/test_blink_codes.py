"""The tower lamp's table: complete, readable with one lamp, slow enough, and printed where it is promised."""

from __future__ import annotations

import itertools
from collections import Counter

import pytest

from device.domain.conditions import ConditionName
from device.ports.gpio import TOWER, Lamp
from device.supervisor.conditions.evaluation import evaluate
from device.supervisor.conditions.snapshot import Snapshot
from device.supervisor.sign import blink_codes
from device.supervisor.sign.blink_codes import CODES, OF_COLOUR, BlinkCode, Colour, code_of
from device.supervisor.state_machine import State

STEP_S = 0.05


def ons(code: BlinkCode, seconds: float) -> list[bool]:
    """The lamp's level every STEP_S from the code's beginning."""
    return [code.lit(n * STEP_S + STEP_S / 2) for n in range(round(seconds / STEP_S))]


def flashes(code: BlinkCode, seconds: float) -> int:
    """How often it becomes lit."""
    levels = [False, *ons(code, seconds)]
    return sum(now and not before for before, now in itertools.pairwise(levels))


def test_every_condition_and_every_state_has_exactly_one_code() -> None:
    named = Counter(name for code in CODES for name in code.conditions)
    assert named == Counter(ConditionName)
    assert Counter(state for code in CODES for state in code.states) == Counter(State)


def test_with_one_lamp_each_count_is_one_part_of_the_device() -> None:
    """Cameras have two colours: with one lamp `lfr status` tells a lost camera from the loss of all."""
    shared = {count for count, times in Counter(code.blinks for code in CODES).items() if times > 1}
    assert shared == {6}
    assert len({code.text for code in CODES}) == len(CODES)


def test_green_is_shown_only_while_nothing_fails() -> None:
    assert not any(code.conditions or code.warning for code in CODES if code.colour is Colour.GREEN)


@pytest.mark.parametrize("code", [code for code in CODES if code.blinks > 0], ids=lambda code: str(code.text))
def test_a_count_is_that_many_blinks_and_then_a_pause_that_cannot_be_taken_for_a_gap(code: BlinkCode) -> None:
    period_s = 0.6 * code.blinks + 1.8
    assert flashes(code, period_s) == code.blinks
    assert flashes(code, 2 * period_s) == 2 * code.blinks
    assert not any(ons(code, period_s)[-30:]), "the last 1.5 s are dark"
    assert max(flashes(code, n / 10 + 1.0) - flashes(code, n / 10) for n in range(60)) <= 2


def test_each_lamp_of_a_tower_shows_its_colour_and_a_single_one_every_code() -> None:
    for code in CODES:
        shown = {lamp for lamp in TOWER if code.lights(lamp)}
        assert shown == (
            set()
            if code.colour is None
            else {Lamp.TOWER_SINGLE, *(k for k, c in OF_COLOUR.items() if c is code.colour)}
        )


def test_the_first_condition_that_fails_decides_as_in_the_status_line() -> None:
    snapshot = Snapshot(stop="the STOP button is pressed", hub_absent_s=9.0)
    assert code_of(State.READY, evaluate(snapshot), fault=True).text == "amber, 2 blinks"
    assert code_of(State.ENDING, evaluate(snapshot), fault=True).text == "amber, slow even blink"
    assert code_of(State.SAFE, evaluate(snapshot), fault=True).text == "dark"
    assert code_of(State.RECOGNISING, (), fault=True).text == "amber, 6 blinks"
    assert code_of(State.RECOGNISING, (), fault=False).text == "green, steady"


def test_the_wiring_page_has_the_table_as_it_is() -> None:
    text = blink_codes.WIRING.read_text(encoding="utf-8")
    assert blink_codes.section() in text
    assert blink_codes.with_section(text) == text, "python -m device.supervisor.sign.blink_codes"
