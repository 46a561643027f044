"""Laws of presentation time, colour and order, without a decoder."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device.domain.sight import ColourMatrix
from device.edges.camera.timeline import Timeline, is_full_range, matrix_of, natural, plausible, quarter_turns

STEP_NS = 40_000_000
stated = st.one_of(st.none(), st.fractions(min_value=-100, max_value=100_000, max_denominator=90_000))


def times(*seconds: float | None) -> list[int]:
    line = Timeline(Fraction(25))
    return [line.at(None if s is None else Fraction(s).limit_denominator(90_000)) // 1_000_000 for s in seconds]


@given(st.lists(st.tuples(stated, stated), max_size=60))
def test_time_starts_at_zero_and_never_runs_back(stamps: list[tuple[Fraction | None, Fraction | None]]) -> None:
    line = Timeline(Fraction(25))
    given_out = [line.at(presented, decoded) for presented, decoded in stamps]
    assert given_out == sorted(given_out)
    assert given_out[:1] in ([], [0])


@given(st.lists(st.integers(1, 5000), max_size=50), st.integers(-1_000_000, 1_000_000))
def test_times_that_only_run_forward_are_kept_exactly(gaps_ms: list[int], start_ms: int) -> None:
    line, at_ms, expected = Timeline(Fraction(25)), start_ms, []
    got = [line.at(Fraction(start_ms, 1000))]
    for gap in gaps_ms:
        at_ms += gap
        expected.append((at_ms - start_ms) * 1_000_000)
        got.append(line.at(Fraction(at_ms, 1000)))
    assert got == [0, *expected]
    assert line.repaired == 0


def test_missing_times_are_made_from_the_rate() -> None:
    assert times(None, None, None) == [0, 40, 80]
    assert times(5.0, None, 5.08) == [0, 40, 80]
    assert times(None, 7.0, 7.04) == [0, 40, 80]


def test_one_disordered_time_moves_that_frame_alone() -> None:
    assert times(0, 0.08, 0.04, 0.16, 0.2) == [0, 80, 120, 160, 200]


def test_a_new_time_base_goes_on_from_the_old_one() -> None:
    assert times(100, 100.04, 0, 0.04, 0.5) == [0, 40, 80, 120, 580]


def both(*presented_and_decoded: tuple[int, int]) -> list[int]:
    """Milliseconds of frames whose times are stated in steps of 40 ms."""
    line = Timeline(Fraction(25))
    return [line.at(Fraction(pts, 25), Fraction(dts, 25)) // 1_000_000 for pts, dts in presented_and_decoded]


def test_presentation_times_that_keep_running_back_give_way_to_decoding_times() -> None:
    permuted = [(1, 1), (2, 2), (4, 3), (3, 4), (5, 5), (7, 6), (6, 7), (8, 8), (10, 9), (9, 10)]
    assert both(*permuted) == [0, 40, 120, 160, 200, 240, 280, 320, 360, 400]


def test_decoding_times_in_disorder_do_not_touch_ordered_presentation_times() -> None:
    assert both((0, 0), (1, 3), (2, 1), (3, 2), (4, 6), (5, 4)) == [0, 40, 80, 120, 160, 200]


def test_a_new_time_base_of_both_times_is_no_reason_to_change_from_one_to_the_other() -> None:
    assert both((100, 98), (101, 99), (0, -2), (1, -1), (5, 3)) == [0, 40, 80, 120, 280]


@pytest.mark.parametrize("rate", [None, Fraction(0), Fraction(90_000)])
def test_an_absurd_rate_is_taken_for_25(rate: Fraction | None) -> None:
    line = Timeline(rate)
    assert [line.at(None), line.at(None)] == [0, STEP_NS]


def test_numbers_in_names_are_read_as_numbers() -> None:
    names = ["f10.jpg", "f9.jpg", "F1.jpg", "f010b.jpg", "f2a1.jpg", "f2.jpg"]
    assert sorted(names, key=natural) == ["F1.jpg", "f2.jpg", "f2a1.jpg", "f9.jpg", "f10.jpg", "f010b.jpg"]


@given(st.text(max_size=8), st.text(max_size=8))
def test_any_two_names_have_one_order(one: str, other: str) -> None:
    a, b = natural(one), natural(other)
    assert [a < b, a == b, a > b].count(True) == 1


@pytest.mark.parametrize(
    ("stated_as", "size", "matrix"),
    [
        (2, (640, 480), ColourMatrix.BT601),
        (2, (1280, 720), ColourMatrix.BT709),
        (2, (720, 1280), ColourMatrix.BT709),
        (1, (640, 480), ColourMatrix.BT709),
        (6, (1920, 1080), ColourMatrix.BT601),
        (9, (3840, 2160), ColourMatrix.BT2020),
    ],
)
def test_the_stated_matrix_wins_over_the_guess(stated_as: int, size: tuple[int, int], matrix: ColourMatrix) -> None:
    assert matrix_of(stated_as, *size) is matrix


def test_range_is_stated_or_implied_by_the_layout() -> None:
    assert is_full_range(2, "yuv420p")
    assert is_full_range(0, "yuvj422p")
    assert is_full_range(0, "rgb24")
    assert not is_full_range(1, "yuv420p")
    assert not is_full_range(0, "yuv420p10le")


def test_rotation_is_rounded_to_quarter_turns() -> None:
    assert [quarter_turns(d) for d in (0, 90, -90, 180, -180, 270, 89.4, 2)] == [0, 90, -90, 180, 180, -90, 90, 0]


def test_an_absurd_aspect_is_taken_for_square() -> None:
    assert plausible(Fraction(16, 15)) == Fraction(16, 15)
    assert [plausible(a) for a in (None, Fraction(0), Fraction(50), Fraction(1, 9))] == [1, 1, 1, 1]


def test_nothing_but_the_pyav_module_imports_pyav() -> None:
    edges = Path(__file__).parents[3] / "device"
    importing = [p.name for p in edges.rglob("*.py") if "import av\n" in p.read_text() or "from av" in p.read_text()]
    assert importing == ["pyav.py"]
