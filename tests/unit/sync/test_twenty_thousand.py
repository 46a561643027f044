"""20,000 people from the hub's repository to a searchable gallery, with progress on the way."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyrage

from device.domain.finding import Mode
from device.sync.client import Client
from device.sync.source_usb import UsbSource
from device.watchlist.gallery import fill
from device.watchlist.sealed import FORMAT, SealedEntry, SealedWatchlist, seal, unseal
from tests.offers import offer_of

if TYPE_CHECKING:
    from tests.unit.sync.conftest import Desk

PEOPLE = 20_000
WITHIN_S = 20.0  # the owner's limit, here of processor time; 2026-11-24, 2 busy x86-64 vCPU (AVX2): 2 s in all


class Watched(UsbSource):
    """The stick, and what the client says of its progress between two pieces."""

    client: Client

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.seen: set[str] = set()

    def read(self, path: str) -> Iterator[bytes]:
        for piece in super().read(path):
            yield piece
            self.seen.add(self.client.progress())


def test_twenty_thousand_are_verified_opened_and_loaded_in_time(desk: Desk) -> None:
    names, rows = fill(PEOPLE, seed=4, dim=128)
    listed = SealedWatchlist(
        format=FORMAT,
        watchlist_id="wl-1",
        deployment_id="d-1",
        mode=Mode.DEMO,
        created_at=datetime.now(timezone.utc),
        recogniser_sha256="b" * 64,
        subjects=PEOPLE,
        images=PEOPLE,
        entries=tuple(
            SealedEntry(
                ref=name,
                category="missing",
                image_source="custody",
                templates=row.astype("<f4").tobytes(),
                template_dim=row.size,
            )
            for name, row in zip(names, rows, strict=True)
        ),
    )
    identity = pyrage.x25519.Identity.generate()
    desk.hub.payload = seal(listed, [str(identity.to_public())])
    desk.hub.document["watchlist"] |= {"subjects": PEOPLE, "images": PEOPLE}
    desk.hub.document["max_watchlist_size"] = PEOPLE
    desk.hub.document["mode"] = "operational"  # no other list may be that long
    desk.hub.publish()
    (desk.roots / "demo").rename(desk.roots / "operational")
    stick = Watched(desk.hub.folder)
    client = stick.client = desk.client(stick)
    begun = time.process_time()
    offer = offer_of(client.sync())
    gallery = unseal(offer.payload.read_bytes(), str(identity)).gallery()
    took = time.process_time() - begun
    assert len(gallery) == PEOPLE
    assert gallery.search(np.ascontiguousarray(rows[7:8]))[0].entry == 7
    assert took < WITHIN_S
    assert any(text.startswith("fetching the watchlist: ") and text.endswith(" MB") for text in stick.seen)
    assert client.progress() == ""
