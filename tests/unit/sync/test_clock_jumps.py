"""A clock that jumps forward for some seconds blocks nobody; one that is set back is refused as before."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

import pytest

from device.sync.refusal import Refused
from tests.offers import offer_of

if TYPE_CHECKING:
    from device.sync.client import Client
    from tests.unit.sync.conftest import Desk

HOUR = timedelta(hours=1)


def looks(desk: Desk, client: Client, seconds: int) -> None:
    """Look every two seconds, as the supervisor does."""
    for _ in range(seconds // 2):
        desk.clock.advance(2)
        client.sync()


@pytest.mark.parametrize("anew", [False, True], ids=["unchanged repository", "a new timestamp meanwhile"])
def test_after_a_jump_of_seconds_the_device_goes_on_and_so_does_the_next_start(desk: Desk, anew: bool) -> None:
    client = desk.client()
    looks(desk, client, 70)
    desk.clock.set_wall(desk.clock.wall() + HOUR)
    if anew:
        desk.hub.stamp()
    looks(desk, client, 20)
    desk.clock.set_wall(desk.clock.wall() - HOUR)
    desk.clock.advance(2)
    assert offer_of(client.sync()).deployment.id == "d-1"
    assert offer_of(desk.client().sync()).deployment.id == "d-1", "what was stored is right again"


def test_a_clock_that_was_set_back_is_refused_all_the_same(desk: Desk) -> None:
    client = desk.client()
    looks(desk, client, 70)
    desk.clock.set_wall(desk.clock.wall() - HOUR)
    for _ in range(100):
        desk.clock.advance(2)
        with pytest.raises(Refused, match="before the last verified"):
            client.sync()


def test_a_jump_that_looked_steady_needs_a_person(desk: Desk) -> None:
    client = desk.client()
    looks(desk, client, 70)
    desk.clock.set_wall(desk.clock.wall() + HOUR)
    looks(desk, client, 100)
    desk.clock.set_wall(desk.clock.wall() - HOUR)
    with pytest.raises(Refused, match="before the last verified"):
        client.sync()


def test_a_clock_in_1970_is_refused_and_the_right_one_is_not(desk: Desk) -> None:
    client = desk.client()
    client.sync()
    right = desk.clock.wall()
    desk.clock.set_wall(datetime(1970, 1, 1, tzinfo=timezone.utc))
    desk.clock.is_synchronised = False
    with pytest.raises(Refused, match="clock shows 1970"):
        client.sync()
    desk.clock.set_wall(right + timedelta(seconds=60))
    desk.clock.is_synchronised = True
    assert offer_of(client.sync()).deployment.id == "d-1"
