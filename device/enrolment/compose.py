"""Composes a watchlist of one category from an enrolled folder, ready to be sealed."""

from __future__ import annotations

from datetime import datetime

import numpy as np

from device.domain.finding import Mode
from device.enrolment.folder import Enrolment
from device.watchlist.sealed import FORMAT, SealedEntry, SealedWatchlist


def compose(
    enrolment: Enrolment,
    *,
    watchlist_id: str,
    deployment_id: str,
    mode: Mode,
    created_at: datetime,
    recogniser_sha256: str,
    category: str,
    image_source: str,
) -> SealedWatchlist:
    """A watchlist of one category from an enrolled folder."""
    entries = tuple(
        SealedEntry(
            ref=entry.ref,
            category=category,
            image_source=image_source,
            templates=np.ascontiguousarray(entry.templates, "<f4").tobytes(),
            template_dim=entry.templates.shape[1],
        )
        for entry in enrolment.entries
    )
    return SealedWatchlist(
        format=FORMAT,
        watchlist_id=watchlist_id,
        deployment_id=deployment_id,
        mode=mode,
        created_at=created_at,
        recogniser_sha256=recogniser_sha256,
        subjects=enrolment.subjects,
        images=enrolment.images,
        entries=entries,
    )
