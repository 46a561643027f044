"""Which shots are worth the recogniser's time: a person is recognised, not every face of every frame.

Each sighting gets an urgency, or none. The most urgent few of a frame are taken; the rest wait for the next one, so a
crowd costs delay, never a stall. Urgency, highest first: a first look; a possible match that needs a second look; a
doubt about identity; a clearly better shot or one of the first few; a poor template that may get better; a late look
at somebody who stays.
"""

from __future__ import annotations

from collections.abc import Sequence

from device.domain.time import NS_PER_MS, MediaNs
from device.vision.passage import Passage
from device.vision.quality import geometric
from device.vision.track import Sighting

GEOMETRY_MIN = 0.18  # below it no template has ever been good
TEMPLATES_WANTED = 3  # independent looks; the gain of more is small (TPIR 1 -> 3 looks: +9 points, LFW)
ATTEMPTS_MAX = 14  # per passage
CLEARLY_BETTER = 1.25
GOOD_ENOUGH = 0.6
BETWEEN_LOOKS_NS = 150 * NS_PER_MS  # closer frames are the same picture again
POOR_LOOKS_NS = 300 * NS_PER_MS  # somebody small or blurred may come out better soon
LATE_LOOKS_NS = 900 * NS_PER_MS
HOPELESS = 0.15  # this far under the threshold after two looks, the next look can wait


def urgency(
    passage: Passage, sighting: Sighting, geometry: float, at: MediaNs, *, patient: bool, threshold: float
) -> float | None:
    """How much this shot is wanted; None: not at all.

    geometry   geometric quality of the shot, 0..1
    patient    frames come fast enough to wait for a second sighting before a first look
    threshold  the operating point, a cosine
    """
    if geometry < GEOMETRY_MIN or passage.attempts >= ATTEMPTS_MAX:
        return None
    if patient and sighting.track.hits < 2:
        return None
    if passage.tried_at is None:
        return 5 + geometry
    since = at - passage.tried_at
    if passage.pending:
        return 4 + geometry
    if since < BETWEEN_LOOKS_NS:
        return None
    if sighting.track.doubtful:
        return 3 + geometry
    better = geometry / max(passage.best_geometry, 1e-3)
    if better > CLEARLY_BETTER:
        return 2 + geometry
    hopeless = passage.templates >= 2 and passage.best_score < threshold - HOPELESS
    if passage.templates < TEMPLATES_WANTED and better > 0.8 and not hopeless:
        return 2 + geometry
    if passage.quality < GOOD_ENOUGH and better > 0.8 and since > (LATE_LOOKS_NS if hopeless else POOR_LOOKS_NS):
        return 1 + geometry
    if passage.quality < 0.95 and better > 0.9 and since > LATE_LOOKS_NS:
        return geometry
    return None


def choose(
    wanted: Sequence[tuple[Passage, Sighting]],
    at: MediaNs,
    size: tuple[int, int],
    *,
    budget: int,
    patient: bool,
    threshold: float,
) -> list[tuple[Passage, Sighting, float]]:
    """The most urgent `budget` shots of one frame of `size` (width, height), with their geometric quality."""
    rated = []
    for passage, sighting in wanted:
        geometry = geometric(sighting.face, *size)
        score = urgency(passage, sighting, geometry, at, patient=patient, threshold=threshold)
        if score is not None:
            rated.append((score, passage, sighting, geometry))
    rated.sort(key=lambda r: (-r[0], r[1].id))
    return [(passage, sighting, geometry) for _, passage, sighting, geometry in rated[:budget]]
