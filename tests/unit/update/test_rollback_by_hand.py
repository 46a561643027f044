"""`lfr update rollback`: where it goes, and where it never goes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from device.errors import RefusedByCondition
from device.update.updater import RolledBack

Release = Callable[..., bytes]


def test_by_hand_it_goes_back_to_the_release_before(board: Any, release: Release) -> None:
    board.updater().apply(board.hub.offer(release()))
    assert board.updater().rollback() == "0.2.0"
    assert board.named() == ("0.2.0", "0.2.0")
    assert board.service.running == "0.2.0"
    with pytest.raises(RefusedByCondition, match="rolled back by hand"):
        board.updater().apply(board.hub.folder)


def test_by_hand_it_never_goes_to_a_release_that_failed_or_was_never_on_trial(board: Any, release: Release) -> None:
    with pytest.raises(RolledBack):
        board.updater().apply(board.hub.offer(release("crashes")))
    assert "0.3.0" in board.slots.versions(), "the slot of the failed release is still there"
    with pytest.raises(RefusedByCondition, match=r"older than 0\.2\.0"):
        board.updater().rollback()
    assert board.named() == ("0.2.0", "0.2.0")


def test_by_hand_it_goes_back_once_and_not_forward_again(board: Any, release: Release) -> None:
    board.updater().apply(board.hub.offer(release()))
    board.updater().rollback()
    with pytest.raises(RefusedByCondition, match=r"older than 0\.2\.0"):
        board.updater().rollback()
    assert board.service.running == "0.2.0"
