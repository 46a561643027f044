"""A hub's repository for simulations: offers the rig's deployment, issues an envelope to whom the device says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyrage

from device.config.deployment import Deployment
from device.config.document import load
from device.domain.finding import Mode
from device.domain.time import WallTime, wall
from device.edges.clock.fake import FakeClock
from device.errors import LfrError, Unavailable
from device.sync.offer import Offer, Published, over
from device.sync.refusal import IN_WINDOW, Refused

CONTENT = "AGE-SECRET-KEY-1TEST"


class FakeRepository:
    """What a test wants published. The deployment lies in `folder`, as the rig wrote it.

    recipient  asks to whom the envelope goes; None while the device has said nothing
    issues     whether the hub issues envelopes;  offers: whether it publishes for this device
    fault      what a look at the repository ends with instead
    """

    def __init__(self, folder: Path, clock: FakeClock, recipient: Callable[[], str | None]) -> None:
        self.issues = True
        self.offers = True
        self.fault: LfrError | None = None
        self.refused: Refused | None = None
        self.withdrawn: frozenset[str] = frozenset()
        self.volunteers: dict[str, Path] = {}
        self.volunteers_withdrawn: frozenset[str] = frozenset()
        self.deployment_id: str | None = None
        self.source = "https"
        self.zones: tuple[str, ...] = ()
        self.good_until: WallTime = wall(clock.wall() + timedelta(days=7))
        self.looks = 0
        self.taken: list[str] = []
        self.ended_ids: list[str] = []
        self._folder = folder
        self._clock = clock
        self._recipient = recipient

    def sync(self) -> Published:
        self.looks += 1
        if self.fault is not None:
            raise self.fault
        deployment = load(self._folder / "deployment.yaml", Deployment)
        if self.zones:
            deployment = deployment.model_copy(update={"zones": self.zones})
        if self.deployment_id is not None:
            deployment = deployment.model_copy(update={"id": self.deployment_id})
        refused = self.refused
        if over(deployment, self._clock.wall()) and deployment.id not in self.taken:
            refused = Refused(IN_WINDOW, "expired", f"deployment {deployment.id} was over")
        found = Published(Mode(deployment.mode), self.good_until, self.source, refused=refused)
        if not self.offers or refused is not None:
            return found
        recipient = self._recipient() if self.issues else None
        envelope = None if recipient is None else envelope_to(recipient)
        there = {ref: file for ref, file in self.volunteers.items() if ref not in self.volunteers_withdrawn}
        offer = Offer(deployment, self._payload, self.withdrawn, recipient, envelope, there, self.volunteers_withdrawn)
        return replace(found, offer=offer)

    def take(self, offer: Offer) -> None:
        self.taken.append(offer.deployment.id)

    def ended(self, deployment_id: str) -> list[str]:
        self.ended_ids.append(deployment_id)
        try:
            self._payload.unlink()
        except OSError as fault:
            raise Unavailable(f"{self._payload.name} ({fault.strerror})") from fault
        return [self._payload.name]

    @property
    def _payload(self) -> Path:
        return self._folder / "watchlist.age"

    def progress(self) -> str:
        return ""

    def close(self) -> None:
        """Nothing is open."""


def envelope_to(recipient: str) -> bytes:
    """The content identity for one recipient."""
    sealed: Any = pyrage.encrypt(CONTENT.encode(), [pyrage.x25519.Recipient.from_str(recipient)])
    return bytes(sealed)
