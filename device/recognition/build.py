"""Builds one camera's pipeline: engines, list, threshold, zone."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from device.domain.sight import F32
from device.enrolment.model_sessions import ModelSessions
from device.recognition.candidate import ListedPerson
from device.recognition.pipeline import Pipeline, Sight
from device.recognition.volunteers import VolunteerSearch
from device.vision.decision import Best
from device.vision.observer import Observer
from device.vision.pair import ScreenLists
from device.vision.zone import Zone
from device.watchlist.gallery import Gallery, Hit, fill

WHOLE_FRAME = ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0))


class Listed:
    """The watchlist as the match decision needs it: one template in, the nearest entry out."""

    def __init__(self, gallery: Gallery) -> None:
        self._gallery = gallery
        self._query: F32 = np.zeros((1, gallery.template_dim), np.float32)

    def __len__(self) -> int:
        return len(self._gallery)

    def nearest(self, template: F32) -> Best:
        """`template` (template_dim,) float32 of any length; scores are cosines."""
        np.divide(template, max(float(np.linalg.norm(template)), 1e-9), out=self._query[0])
        hit = self._gallery.search(self._query)[0]
        self._query[:] = 0
        return self._best(hit)

    def note_look(self, template: F32, best: F32) -> None:
        """See device.vision.decision.Gallery."""
        np.divide(template, max(float(np.linalg.norm(template)), 1e-9), out=self._query[0])
        self._gallery.note_look(self._query[0], best)
        self._query[:] = 0

    def nearest_by_looks(self, best: F32) -> Best:
        """See device.vision.decision.Gallery."""
        return self._best(self._gallery.best_of_looks(best))

    def _best(self, hit: Hit) -> Best:
        return Best(hit.entry, hit.score, hit.other_score if len(self._gallery) > 1 else -math.inf)


def gallery_of(entries: Sequence[tuple[str, F32]], *, synthetic: int = 0, screen_dim: int = 0) -> Gallery:
    """A searchable list of (reference, (k, template_dim) templates) entries, filled up to `synthetic` for benches."""
    refs = [ref for ref, _ in entries]
    templates = [rows for _, rows in entries]
    owner = np.repeat(np.arange(len(entries)), [len(rows) for rows in templates])
    missing = max(0, synthetic - len(refs))
    if missing:
        names, rows = fill(missing, seed=1822, dim=templates[0].shape[1])
        owner = np.concatenate([owner, np.arange(len(refs), len(refs) + missing)])
        refs, templates = refs + names, [*templates, rows]
    return Gallery(refs, np.concatenate(templates), owner, screen_dim=screen_dim)


def pipeline_of(
    room: ModelSessions,
    gallery: Gallery,
    *,
    threshold: float,
    min_face_px: float,
    packed: bool = False,
    people: Sequence[ListedPerson] = (),
    zone: Sequence[tuple[float, float]] = WHOLE_FRAME,
    observer: Observer | None = None,
    volunteers: Gallery | None = None,
) -> Pipeline:
    """The pipeline over `room`'s engines and one list.

    packed  whether frames come as packed RGB that the GPU reads, too
    people  what is known of the gallery's entries, in its order; empty: nothing but their references
    zone    a polygon in 0..1 of the frame
    observer  for measuring; a device's worker passes none
    volunteers  the blue list, searched beside the gallery at its threshold, and behind a pair's gate together with it
    """
    behind_gate = gallery if volunteers is None else ScreenLists(gallery, volunteers)
    blue = None if volunteers is None else VolunteerSearch(Listed(volunteers), volunteers.refs, threshold)
    return Pipeline(
        Sight(
            front_end=room.front_end(min_face_px, packed=packed, listed=behind_gate),
            gallery=Listed(gallery),
            entries=tuple(people) or tuple(ListedPerson(ref) for ref in gallery.refs),
            threshold=threshold,
            zone=Zone(zone),
            min_face_px=min_face_px,
        ),
        observer=observer,
        volunteers=blue,
    )
