"""Minimum cells: the rules and a whole published view do not suffice to calculate a withheld count."""

from __future__ import annotations

import itertools
from collections import defaultdict

import pytest

from tools.hub.report.suppression import cell, column_total, total_and_parts, within

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


def test_of_a_withheld_total_no_part_is_shown() -> None:
    assert set(total_and_parts({"n": 9, "p": 9, "i": 9}, MINIMUM, total_known=False).values()) == {None}
    assert total_and_parts({"n": 9, "p": 9, "i": 9}, MINIMUM) == {"n": 9, "p": 9, "i": 9}


def test_rows_their_total_and_its_parts_together_leave_every_value_of_a_withheld_row_possible() -> None:
    least, views = 2, defaultdict(list)
    rows = list(itertools.product(range(4), repeat=3))
    for table in itertools.product(rows, repeat=2):
        alerts = [sum(row) for row in table]
        total = column_total(alerts, least)
        parts = {name: sum(row[n] for row in table) for n, name in enumerate("npi")}
        published = total_and_parts(parts, least, total_known=total is not None)
        views[(tuple(cell(n, least) for n in alerts), total, tuple(published.values()))].append(alerts)
    checked = 0
    for (shown, *_), tables in views.items():
        for place, value in enumerate(shown):
            if value is None:
                checked += 1
                assert {table[place] for table in tables} == set(range(least)), (shown, tables)
    assert checked


def test_what_came_of_alerts_shows_no_withheld_number_of_them() -> None:
    assert total_and_parts({"n": 0, "p": 8, "i": 1})["p"] is None
    assert within(8, None) is None, "eight confirmed of nine alerts: at most one was incorrect"
    assert (within(8, 20), within(4, 20)) == (8, None)


def test_zero_is_withheld_like_any_small_count() -> None:
    assert [cell(n) for n in (0, 1, 4, 5, None)] == [None, None, None, 5, None]
    assert column_total([4, 11]) is None, "the total less the shown cell would be the withheld one"
    assert column_total([4, 0, 11]) == 15
    assert column_total([4, 4, 11]) is None, "8 in two cells of at most 4 is 4 and 4"
