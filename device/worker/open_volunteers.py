"""Opens the blue list's sealed volunteers, one a file.

1. A file that is missing, does not open or was made with other models is left out: the blue list stops nothing.
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
    """A gallery of every volunteer that opens; None when there is none (rule 1)."""
    entries: list[SealedEntry] = []
    for path in paths:
        try:
            opened = unseal(Path(path).read_bytes(), identity)
            require_models(opened, room.detector_card.source_sha256, room.recognisers.source_sha256)
        except (OSError, WatchlistUnusable):
            continue
        entries += opened.entries
    if paths:
        journal.volunteers(opened=len(entries), of=len(paths))
    if not entries:
        return None
    rows = [(entry.ref, entry.rows) for entry in entries]
    return gallery_of(rows, screen_dim=room.recognisers.screen_dim)
