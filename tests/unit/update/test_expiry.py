"""Metadata that has expired, and clocks that are wrong."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from device.domain.time import wall
from device.errors import RefusedByCondition
from tests.unit.update.conftest import NOW

Release = Callable[..., bytes]


def test_a_root_of_trust_that_has_expired_is_refused_with_the_remedy(board: Any, release: Release) -> None:
    board.hub.root_ends = (NOW - timedelta(days=1),)
    stick = board.hub.offer(release())
    with pytest.raises(RefusedByCondition, match=r"root version 1 expired 2026-11-29 .*2026-11-30.*lfr authority root"):
        board.updater().apply(stick)
    assert board.named() == ("0.2.0", "0.2.0")


def test_an_expired_root_counts_when_it_signs_one_that_has_not_expired(board: Any, release: Release) -> None:
    """The device's own root is years old; the hub's holders have renewed it since."""
    board.hub.root_ends = (NOW - timedelta(days=400), NOW - timedelta(days=35), NOW + timedelta(days=330))
    assert board.updater().apply(board.hub.offer(release())) == "0.3.0"


def test_a_clock_in_1970_installs_what_is_signed_and_one_that_is_ahead_is_named(board: Any, release: Release) -> None:
    stick = board.hub.offer(release())
    ahead = wall(datetime(2038, 1, 19, tzinfo=timezone.utc))
    with pytest.raises(RefusedByCondition, match="the clock here is at 2038-01-19"):
        board.updater(now=lambda: ahead).apply(stick)
    assert board.named() == ("0.2.0", "0.2.0")
    at_start = wall(datetime(1970, 1, 1, 0, 0, 14, tzinfo=timezone.utc))
    assert board.updater(now=lambda: at_start).apply(stick) == "0.3.0"
