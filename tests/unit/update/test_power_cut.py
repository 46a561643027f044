"""A power cut at every step of an update and of a rollback: what boots is whole, and the next run comes to an end."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from device.errors import LfrError
from device.update import record
from device.update.slots import CURRENT
from device.update.updater import RolledBack, attempt
from tests.power_cut import Power, PowerCut

pytestmark = pytest.mark.slow
POWER = Power()
WHOLE = {"behaviour", "release.json"}


def boots(board: Any) -> None:
    """The machine comes up: the service of a whole slot that passed its self-test starts, and so does the updater."""
    current, committed = board.named()
    assert current is not None, "current names a whole slot"
    assert committed is not None, "committed names a whole slot"
    for version in board.slots.versions():
        assert {path.name for path in board.slots.place(version).iterdir()} >= WHOLE
    if current == "0.3.0":
        assert ".0.3.0.new" in board.tested
        assert record.trial(board.updates) is not None or committed == "0.3.0", "a swap without a record"
    assert (board.slots.place(committed) / "behaviour").read_text() == "good", "the updater's own slot is a proven one"
    assert board.has_plans(current), "its workers would find no plan of theirs"
    assert board.has_plans(committed), "and after a rollback neither"
    board.service.boot()
    board.clock.sleep(10)


def cuts(make_board: Callable[..., Any], content: bytes) -> Iterator[tuple[Any, Path]]:
    """A board for each operation at which the power can fail, after the cut; ends with a run that nothing cut."""
    for number in itertools.count(1):
        board = make_board(f"cut-{number}")
        inbox = board.hub.offer(content)
        try:
            with POWER.over(board.folder, number):
                attempt(board.updater(), inbox)
        except PowerCut:
            yield board, inbox
        except LfrError:
            return
        else:
            return


def test_a_good_release_is_committed_in_the_end_wherever_the_power_was_cut(
    make_board: Callable[..., Any], release: Callable[..., bytes]
) -> None:
    seen: set[tuple[str | None, str | None]] = set()
    number = 0
    for number, (board, inbox) in enumerate(cuts(make_board, release()), 1):
        seen.add(board.named())
        boots(board)
        attempt(board.updater(), inbox)
        boots(board)
        assert board.named() == ("0.3.0", "0.3.0")
        assert not inbox.exists()
    assert number > 30
    assert seen == {("0.2.0", "0.2.0"), ("0.3.0", "0.2.0"), ("0.3.0", "0.3.0")}


@pytest.mark.long
def test_a_broken_release_is_rolled_back_in_the_end_wherever_the_power_was_cut(
    make_board: Callable[..., Any], release: Callable[..., bytes]
) -> None:
    seen: set[tuple[str | None, str | None]] = set()
    number = 0
    for number, (board, inbox) in enumerate(cuts(make_board, release("crashes")), 1):
        seen.add(board.named())
        boots(board)
        for _ in range(3):
            try:
                attempt(board.updater(), inbox)
            except LfrError:
                continue
        boots(board)
        assert board.named() == ("0.2.0", "0.2.0")
        assert "0.3.0" in record.read(board.updates).refused
        assert not inbox.exists()
    assert number > 30
    assert seen == {("0.2.0", "0.2.0"), ("0.3.0", "0.2.0")}


def test_a_second_cut_during_the_repair_changes_nothing_of_that(
    make_board: Callable[..., Any], release: Callable[..., bytes]
) -> None:
    """Every third operation, twice in a row: the repair is cut as well."""
    for number in range(1, 60, 3):
        board = make_board(f"twice-{number}")
        inbox = board.hub.offer(release("crashes"))
        for at in (number, max(1, number // 2)):
            try:
                with POWER.over(board.folder, at):
                    attempt(board.updater(), inbox)
            except (PowerCut, LfrError):
                boots(board)
        for _ in range(4):
            try:
                attempt(board.updater(), inbox)
            except RolledBack:
                break
            except LfrError:
                continue
        boots(board)
        assert board.slots.named(CURRENT) == "0.2.0"
        assert record.trial(board.updates) is None
