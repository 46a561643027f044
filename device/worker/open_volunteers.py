"""Opens the blue list's sealed volunteers, one a file.

1. A file that is missing, does not open or was made with other models is left out: the blue list stops nothing.
2. A pair of recognisers passes over faces that no listed person's can be, without a template. Volunteers would be
   passed over likewise, and the share that is found would mean nothing: the blue list is not searched.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from device.enrolment.model_sessions import ModelSessions
from device.errors import WatchlistUnusable
from device.recognition.build import gallery_of
from device.watchlist.gallery import Gallery
from device.watchlist.sealed import SealedEntry, require_models, unseal
from device.worker.journal import JournalSender


def open_volunteers(paths: Sequence[str], identity: str, room: ModelSessions, journal: JournalSender) -> Gallery | None:
    """A gallery of every volunteer that opens; None when there is none (rules 1 and 2)."""
    entries: list[SealedEntry] = []
    for path in () if room.recognisers.screen_dim else paths:
        try:
            opened = unseal(Path(path).read_bytes(), identity)
            require_models(opened, room.detector_card.source_sha256, room.recognisers.source_sha256)
        except (OSError, WatchlistUnusable):
            continue
        entries += opened.entries
    if paths:
        journal.volunteers(opened=len(entries), of=len(paths))
    return gallery_of([(entry.ref, entry.rows) for entry in entries]) if entries else None
