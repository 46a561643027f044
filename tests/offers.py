"""The offer of one look at a repository, or the refusal, for tests that expect one."""

from __future__ import annotations

from typing import Protocol

from device.sync.offer import Offer
from device.sync.refusal import Refused


class Look(Protocol):
    """What `Client.sync` returns."""

    @property
    def offer(self) -> Offer | None: ...

    @property
    def refused(self) -> Refused | None: ...


def offer_of(look: Look) -> Offer:
    """The offer that the look found."""
    assert look.offer is not None
    return look.offer


def refusal_of(look: Look) -> Refused:
    """The refusal of what is published."""
    assert look.refused is not None
    return look.refused
