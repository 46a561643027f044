"""Which shots are worth the recogniser's time: a person is recognised, not every face of every frame.

Each sighting gets an urgency, or none. The most urgent few of a frame are taken; the rest wait for the next one, so a
crowd costs delay, never a stall. Urgency, highest first: a first look; a doubt about identity; a possible match that
needs a second look; a poor template that may get better; a clearly better shot; a late look at somebody who stays.
"""

from __future__ import annotations

from collections.abc import Sequence

from device.domain.time import NS_PER_MS, MediaNs
from device.vision.passage import Passage
from device.vision.quality import geometric
from device.vision.track import Sighting

GEOMETRY_MIN = 0.18  # below it no template has ever been good
TEMPLATES_WANTED = 3  # independent looks; the gain of more is small (TPIR 1 -> 3 looks: +9 points, LFW)
ATTEMPTS_MAX = 16  # per passage
CLEARLY_BETTER = 1.25
GOOD_ENOUGH = 0.6
BETWEEN_LOOKS_NS = 150 * NS_PER_MS  # closer frames are the same picture again
LATE_LOOK_NS = 900 * NS_PER_MS


def urgency(passage: Passage, sighting: Sighting, geometry: float, at: MediaNs, *, patient: bool) -> float | None:
    """How much this shot is wanted; None: not at all.

    geometry  geometric quality of the shot, 0..1
    patient   frames come fast enough to wait for a second sighting before a first look
    """
    if geometry < GEOMETRY_MIN or passage.attempts >= ATTEMPTS_MAX:
        return None
    if patient and sighting.track.hits < 2:
        return None
    since = at - passage.tried_at if passage.tried_at is not None else None
    if since is None:
        return 5 + geometry
    if sighting.track.doubtful and since >= BETWEEN_LOOKS_NS // 2:
        return 4 + geometry
    if passage.pending:
        return 3 + geometry
    if since < BETWEEN_LOOKS_NS:
        return None
    better = geometry / max(passage.best_geometry, 1e-3)
    if passage.quality < GOOD_ENOUGH and better > 0.85:
        return 2 + geometry
    if passage.templates < TEMPLATES_WANTED and better > 0.8:
        return 1 + geometry
    if better > CLEARLY_BETTER:
        return 1 + geometry
    if since > LATE_LOOK_NS and better > 0.9 and passage.quality < 0.95:
        return geometry
    return None


def choose(
    wanted: Sequence[tuple[Passage, Sighting]], at: MediaNs, size: tuple[int, int], *, budget: int, patient: bool
) -> list[tuple[Passage, Sighting, float]]:
    """The most urgent `budget` shots of one frame of `size` (width, height), with their geometric quality."""
    rated = []
    for passage, sighting in wanted:
        geometry = geometric(sighting.face, *size)
        score = urgency(passage, sighting, geometry, at, patient=patient)
        if score is not None:
            rated.append((score, passage, sighting, geometry))
    rated.sort(key=lambda r: (-r[0], r[1].id))
    return [(passage, sighting, geometry) for _, passage, sighting, geometry in rated[:budget]]
