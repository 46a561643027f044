"""Minimum cells: the rules and a whole published view do not suffice to calculate a withheld count."""

from __future__ import annotations

import itertools
from collections import defaultdict

import pytest

from tools.hub.report.suppression import cell, column_total, total_and_parts

MINIMUM = 3  # small enough to try every table


@pytest.mark.parametrize("rows", [1, 2, 3, 4])
def test_a_column_and_its_total_leave_every_value_of_a_withheld_cell_possible(rows: int) -> None:
    views = defaultdict(list)
    for table in itertools.product(range(8), repeat=rows):
        views[(tuple(cell(n, MINIMUM) for n in table), column_total(table, MINIMUM))].append(table)
    for (shown, _), tables in views.items():
        for place, value in enumerate(shown):
            if value is None:
                assert {table[place] for table in tables} == set(range(MINIMUM)), (shown, tables)


def test_a_total_and_its_parts_leave_a_withheld_part_open() -> None:
    views = defaultdict(list)
    for parts in itertools.product(range(11), repeat=3):
        if MINIMUM <= sum(parts) <= 10:
            published = total_and_parts(dict(zip("npi", parts, strict=True)), MINIMUM)
            views[(sum(parts), tuple(published.values()))].append(parts)
    withheld = 0
    for (total, shown), tables in views.items():
        for place, value in enumerate(shown):
            if value is None:
                withheld += 1
                assert len({table[place] for table in tables}) >= MINIMUM, (total, shown, tables)
    assert withheld


def test_shown_parts_never_add_up_to_a_withheld_total() -> None:
    assert None in total_and_parts({"n": 9, "p": 9, "i": 9}, MINIMUM, total_known=False).values()
    assert total_and_parts({"n": 9, "p": 9, "i": 9}, MINIMUM) == {"n": 9, "p": 9, "i": 9}


def test_zero_is_withheld_like_any_small_count() -> None:
    assert [cell(n) for n in (0, 1, 4, 5, None)] == [None, None, None, 5, None]
    assert column_total([4, 11]) is None, "the total less the shown cell would be the withheld one"
    assert column_total([4, 0, 11]) == 15
    assert column_total([4, 4, 11]) is None, "8 in two cells of at most 4 is 4 and 4"
