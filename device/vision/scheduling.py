"""Which shots are worth the recogniser's time: a person is recognised, not every face of every frame.

Each sighting gets an urgency, or none. The most urgent few of a frame are taken; the rest wait for the next one, so a
crowd costs delay, never a stall.

1. Most urgent is a first look; then a possible match that needs a second look; then a doubt about identity; then a
   better shot, by how much there is to gain from it.
2. The further a passage's score lies below the threshold after two looks, the better the next shot must be (`_NEEDS`):
   nobody is given up for good, because a much better shot may still come.
3. A look that gave nothing (no landmarks, or a template that is noise) doubles the wait for the next one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from device.domain.time import NS_PER_MS, MediaNs
from device.vision.observer import NoLook
from device.vision.passages import Passage
from device.vision.quality import geometric
from device.vision.tracker import Sighting

GEOMETRY_MIN = 0.18  # below it no template has ever been good
TEMPLATES_WANTED = 3  # independent looks; the gain of more is small (TPIR 1 -> 3 looks: +9 points, LFW)
ATTEMPTS_MAX = 14  # per passage
BETWEEN_LOOKS_NS = 150 * NS_PER_MS  # closer frames are the same picture again
DOUBLINGS_MAX = 4
GOOD_AT_ONCE = 0.75  # a shot this good is not waited with: whoever runs may be gone at the next
STILL_THE_SAME_NS = 2500 * NS_PER_MS  # now and then somebody who stays is looked at, however well they are known
MUCH_BETTER = 1.4


@dataclass(frozen=True, slots=True)
class _Need:
    """What a next look needs: a shot this much `better` than the best one at once, or `fair` again after `wait_ns`."""

    better: float
    fair: float
    wait_ns: int


_PROMISING = _Need(better=1.15, fair=0.8, wait_ns=300 * NS_PER_MS)
# By how far the best score lies below the threshold (cosine), least first.
_NEEDS = (
    (0.12, _PROMISING),
    (0.22, _Need(better=1.25, fair=0.95, wait_ns=900 * NS_PER_MS)),
    (2.00, _Need(better=MUCH_BETTER, fair=1.0, wait_ns=1800 * NS_PER_MS)),
)


def urgency(
    passage: Passage, sighting: Sighting, geometry: float, at: MediaNs, *, patient: bool, threshold: float
) -> float | NoLook:
    """How much this shot is wanted, or why not at all.

    geometry   geometric quality of the shot, 0..1
    patient    frames come fast enough to wait for a second sighting before a first look
    threshold  the operating point, a cosine
    """
    if geometry < GEOMETRY_MIN:
        return NoLook.GEOMETRY
    if passage.attempts >= ATTEMPTS_MAX and not sighting.track.doubtful:
        return NoLook.ATTEMPTS
    if patient and sighting.track.hits < 2 and geometry < GOOD_AT_ONCE:
        return NoLook.ONE_SIGHTING
    if passage.tried_at is None:
        return 5 + geometry
    since = at - passage.tried_at
    better = geometry / max(passage.tried_geometry, 1e-3)
    wait = BETWEEN_LOOKS_NS << min(passage.failures, DOUBLINGS_MAX)
    at_once = passage.pending and not passage.failures
    if not at_once and since < wait and not (since >= BETWEEN_LOOKS_NS and better > MUCH_BETTER):
        return NoLook.CADENCE
    if passage.pending:
        return 4 + geometry
    if sighting.track.doubtful:
        return 3 + geometry
    if passage.templates < 2:
        return 2 + geometry
    need = _need(threshold - passage.best_score)
    if better > need.better or (need is _PROMISING and passage.templates < TEMPLATES_WANTED):
        return 1 + geometry
    if passage.quality < 0.9 and better >= need.fair and since >= need.wait_ns:
        return geometry
    return geometry / 2 if since >= STILL_THE_SAME_NS and better > 0.5 else NoLook.NO_GAIN


def _need(below: float) -> _Need:
    return next(need for limit, need in _NEEDS if below <= limit)


def choose(
    wanted: Sequence[tuple[Passage, Sighting]],
    at: MediaNs,
    size: tuple[int, int],
    *,
    budget: int,
    patient: bool,
    threshold: float,
    passed_over: Callable[[Sighting, NoLook], None] | None = None,
) -> list[tuple[Passage, Sighting, float]]:
    """The most urgent `budget` shots of one frame of `size` (width, height), with their geometric quality.

    passed_over  called with each sighting that is not among them, and why
    """
    rated = []
    for passage, sighting in wanted:
        geometry = geometric(sighting.face, *size)
        score = urgency(passage, sighting, geometry, at, patient=patient, threshold=threshold)
        if isinstance(score, NoLook):
            if passed_over is not None:
                passed_over(sighting, score)
        else:
            rated.append((score, passage, sighting, geometry))
    rated.sort(key=lambda r: (-r[0], r[1].id))
    if passed_over is not None:
        for _, _, sighting, _ in rated[budget:]:
            passed_over(sighting, NoLook.BUDGET)
    return [(passage, sighting, geometry) for _, passage, sighting, geometry in rated[:budget]]
