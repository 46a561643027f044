"""Scenes for `lfr bench recall`: shots with hard cuts in which people stand, turn, cross and take each other's place.

1. The picture has lanes; each has one height of face for the whole clip, so that after a cut somebody else stands where
   the last one stood, as large as he was.
2. In each shot a lane shows one act:
     stand    one person, the head swinging from side to side
     turned   one person, in three-quarter view all the time
     step-in  one person, then another who steps in front and stays
     cross    two people who pass each other at nearly the same distance
     come     one person who comes nearer
3. The two of step-in and cross are a pair that the caller chose, such as people who look alike.
4. Nobody appears twice in a clip. Where people run out, lanes stay empty.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace

import numpy as np

from tools.dev.clip.spec import ClipSpec, Passer, Scripted

SHOT_S = 3.0
"""About how long a shot is."""

STEP_IN_FRAMES = 9
"""From the side to the other's place; a quick step."""

STAYS_BEHIND_FRAMES = 12
"""How long the other is still there, hidden, after somebody stepped in front."""

TURNS_DEG = (25.0, 45.0)
SWING_DEG = 35.0
BANDS_PX = ((82.0, 140.0), (50.0, 76.0), (34.0, 46.0), (27.0, 31.0))
"""Face heights of the lanes, one after the other; the bands of `lfr bench recall`."""

ACTS = ("stand", "turned", "step-in", "cross", "come")
SHARES = (0.25, 0.25, 0.2, 0.15, 0.15)


@dataclass(frozen=True, slots=True)
class Cast:
    """The cast: single people, and pairs for the acts of two."""

    singles: tuple[Passer, ...]
    pairs: tuple[tuple[Passer, Passer], ...] = ()


def scene_of(spec: ClipSpec, cast: Cast) -> ClipSpec:
    """`spec` (size, seconds, seed, noise) with cuts and scripted people instead of its crowd; the seed decides all."""
    rng = np.random.default_rng([spec.seed, 7])
    cuts = _cuts(spec, rng)
    edges = (0, *cuts, spec.frames)
    lanes = _lanes(spec, rng)
    singles, pairs = iter(cast.singles), iter(cast.pairs)
    scripted: list[Scripted] = []
    for first, end in itertools.pairwise(edges):
        for lane, size in lanes:
            act = str(rng.choice(ACTS, p=SHARES))
            wanted = 2 if act in ("step-in", "cross") else 1
            people = next(pairs, ()) if wanted == 2 else tuple(filter(None, (next(singles, None),)))
            if len(people) < wanted:
                people = tuple(filter(None, (next(singles, None),)))
                act = "stand"
            if people:
                scripted += _act(act, people, (first, end - 1), (lane, size), rng)
    return replace(spec, listed=(), crowd=(), scripted=tuple(scripted), cuts=cuts)


def _cuts(spec: ClipSpec, rng: np.random.Generator) -> tuple[int, ...]:
    shots = max(1, round(spec.seconds / SHOT_S))
    even = spec.frames / shots
    return tuple(round(even * (n + float(rng.uniform(-0.15, 0.15)))) for n in range(1, shots))


def _lanes(spec: ClipSpec, rng: np.random.Generator) -> list[tuple[float, float]]:
    """Rule 1: x as a share of the width, and the height of face."""
    places = (0.14, 0.38, 0.62, 0.86) if spec.width > spec.height else (0.22, 0.5, 0.78)
    bands = [BANDS_PX[i] for i in rng.permutation(3)] + [BANDS_PX[int(rng.integers(1, 4))]]
    return [(x, float(rng.uniform(*band))) for x, band in zip(places, bands, strict=False)]


def _act(
    act: str,
    people: tuple[Passer, ...],
    frames: tuple[int, int],
    lane: tuple[float, float],
    rng: np.random.Generator,
) -> list[Scripted]:
    """Rule 2: what one lane shows in one shot."""
    (first, last), (x, size) = frames, lane
    size *= float(rng.uniform(0.97, 1.03))
    place, side = (x, size), float(rng.choice([-1.0, 1.0]))
    one = Scripted(people[0], act, first, last, place, place)
    if act == "stand":
        return [replace(one, yaw=(-side * SWING_DEG, side * SWING_DEG))]
    if act == "turned":
        yaw = side * float(rng.uniform(*TURNS_DEG))
        return [replace(one, yaw=(yaw - 4, yaw + 4))]
    if act == "come":
        return [replace(one, start=(x - side * 0.06, 0.55 * size), moving=last - first)]
    if act == "cross":
        away = 0.16
        other = Scripted(people[1], act, first, last, (x + away, 1.04 * size), (x - away, 1.04 * size), last - first)
        return [replace(one, start=(x - away, size), end=(x + away, size), moving=last - first), other]
    begins = first + round((last - first) * float(rng.uniform(0.4, 0.55)))
    nearer = (x, 1.06 * size)
    other = Scripted(people[1], act, begins, last, (x + side * 0.1, 1.06 * size), nearer, STEP_IN_FRAMES)
    gone = min(last, begins + STEP_IN_FRAMES + STAYS_BEHIND_FRAMES)
    return [replace(one, last=gone), other]
