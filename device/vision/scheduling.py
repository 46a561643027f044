"""Recognition scheduling: which faces of a frame are recognised now.

Each sighting gets an urgency, or none. The most urgent few of a frame are taken; the rest wait for the next one, so a
crowd costs delay but no stall.

1. Nobody is refused for pose, size, blur or raw length: they order the shots. The budget bounds the cost.
2. Most urgent is a first look; then a doubt about identity; then the best score nearest to the threshold.
3. A person who may still be found is recognised again soon, whatever the shot: how soon follows from how far the best
   score lies below the threshold (`_AGAIN`). A shot that is clearly better than all before is taken earlier. Measured
   2026-11-30 (210 passages of five synthetic clips, 1,822 listed, threshold .53): of the 149 people who are found, 8
   are found by a look after the tenth; after one look nine in ten of those who will be found lie less than .22 below
   the threshold, as three strangers in four do; after two looks less than .125, and three strangers in four more than
   .129. Near the threshold there is no end before TEMPLATES_NEAR: with 40 instead of 10, 41 instead of 39 of 56 listed
   passages of six other clips are found at .562, for 11 % more looks where half of the people in view are listed.
4. A look that gave nothing (no landmarks, or a template that is noise) doubles the wait for the next one at this track;
   where a passage has two (a false detection beside the face), the other one is not held up. A look in which a pair's
   screen ruled every entry out doubles the wait, too, and whoever was compared by the main recogniser goes first: in a
   crowd of people who are screened out, the budget is for those who may still be found.
5. After an alert a person is recognised CONFIRMING_LOOKS times, then for a clearly better shot, and from time to time
   to verify the identity.
6. A doubt about identity is looked at BETWEEN_LOOKS_NS after the last look; DOUBT_WAITS_NS after it where the face is
   half hidden or still close to another (the doubt is raised again when they part), and where the last look answered a
   doubt already. Measured 2026-11-30 on the bench's clip: 223 looks instead of 234, everybody first seen at the same
   frame or 4 later, 44 faces seen in both.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from device.domain.time import NS_PER_MS, MediaNs
from device.vision.observer import NoLook
from device.vision.passages import Passage
from device.vision.quality import geometric
from device.vision.tracker import Sighting

BETWEEN_LOOKS_NS = 150 * NS_PER_MS  # closer frames are nearly the same picture again
DOUBLINGS_MAX = 4
SCREENED_DOUBLINGS_MAX = 3
GOOD_AT_ONCE = 0.75  # a shot this good is taken at once: a running person may be gone in the next frame
STILL_THE_SAME_NS = 2500 * NS_PER_MS  # interval of looks at a person who was alerted
BETTER = 1.25  # geometric quality over the best one tried, from which a shot is taken early
CONFIRMING_LOOKS = 3  # looks at a person who is alerted by the first look, for the score and for the probe
MUCH_BETTER = 1.6  # the same for a person further than FAR below the threshold
DOUBT_SHOT = 0.7  # of the best geometric quality tried: a poorer shot shows somebody half hidden and settles little
DOUBT_WAITS_NS = 450 * NS_PER_MS
FAR = 0.20
NEAR = 0.08
ONE_LOOK_SAYS = 0.25  # cosine below the threshold from which even one look makes the next one wait
TEMPLATES_WANTED = 6  # looks after which the next ones are due half as often, and no oftener than LATER_NS
TEMPLATES_NEAR = 40  # the same for a person near the threshold: the shot that decides may be any of them
LATER_NS = 300 * NS_PER_MS

# Rule 3: by how far the best score lies below the threshold (cosine), least first, when the next look is due.
_AGAIN = (
    (NEAR, 60 * NS_PER_MS),
    (0.13, BETWEEN_LOOKS_NS),
    (FAR, 450 * NS_PER_MS),
    (2.00, 900 * NS_PER_MS),
)


def urgency(
    passage: Passage, sighting: Sighting, geometry: float, at: MediaNs, *, patient: bool, threshold: float
) -> float | NoLook:
    """The urgency of this shot, or why it is not to be taken.

    geometry   geometric quality of the shot, 0..1
    patient    frames come fast enough to wait for a second sighting before a first look
    threshold  the operating point, a cosine
    """
    if patient and sighting.track.hits < 2 and geometry < GOOD_AT_ONCE:
        return NoLook.ONE_SIGHTING
    if passage.tried_at is None:
        return 5 + geometry
    since = at - passage.tried_at
    below = threshold - passage.best_score
    better = geometry > (BETTER if below <= FAR or passage.templates == 0 else MUCH_BETTER) * passage.tried_geometry
    failures = sighting.track.failures
    if failures and since < BETWEEN_LOOKS_NS << min(failures, DOUBLINGS_MAX):
        return geometry if better and since >= BETWEEN_LOOKS_NS else NoLook.CADENCE
    if sighting.track.doubtful and since >= _doubt_waits_ns(passage, sighting, geometry):
        return 4 + geometry
    if passage.templates == 0 and passage.screened:
        wait = BETWEEN_LOOKS_NS if better else BETWEEN_LOOKS_NS << min(passage.screened - 1, SCREENED_DOUBLINGS_MAX)
        return 1 + geometry / 10 if since >= wait else NoLook.CADENCE
    if passage.templates == 0:
        return 3 + geometry if since >= BETWEEN_LOOKS_NS else NoLook.CADENCE
    if passage.alerted_entry is not None:
        again = better or passage.templates < CONFIRMING_LOOKS
        due = (again and since >= BETWEEN_LOOKS_NS) or since >= STILL_THE_SAME_NS
        return geometry / 2 if due else NoLook.NO_GAIN
    wait = BETWEEN_LOOKS_NS if better else again_after_ns(below, passage.templates)
    return 2 - below + geometry / 10 if since >= wait else NoLook.CADENCE


def _doubt_waits_ns(passage: Passage, sighting: Sighting, geometry: float) -> int:
    """Rule 6: how long after a look a doubt is looked at."""
    settles = geometry >= DOUBT_SHOT * passage.tried_geometry and not sighting.track.near
    return BETWEEN_LOOKS_NS if settles and not passage.reassured else DOUBT_WAITS_NS


def again_after_ns(below: float, templates: int) -> int:
    """Rule 3: how long after a look the next one is due, for a best score so far `below` the threshold."""
    if templates < 2:
        return BETWEEN_LOOKS_NS if below <= ONE_LOOK_SAYS else 3 * BETWEEN_LOOKS_NS
    wait = next(wait for limit, wait in _AGAIN if below <= limit)
    enough = TEMPLATES_NEAR if below <= NEAR else TEMPLATES_WANTED
    return wait if templates < enough else max(2 * wait, LATER_NS)


def pressing(passage: Passage, threshold: float) -> bool:
    """Whether every frame in which this passage is in view counts: a first look waits, or a match is near (rule 3)."""
    if passage.tried_at is None:
        return True
    near = threshold - passage.best_score <= NEAR and passage.templates < TEMPLATES_NEAR
    return passage.alerted_entry is None and passage.templates > 0 and near


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
