"""The change of TPIR at one FPIR by another precision or runtime, on the same people and photos.

1. Every photo is enrolled in turn and every other one searched: all ordered pairs count, so that the figure does not
   depend on which photo came first. A person's photos share one weight on either side.
2. TPIR: of people with several photos, the mean share of their pairs at or above the threshold.
3. FPIR of a list of LISTED people: the mean over people of the probability that the best of LISTED strangers passes,
   1 - (1 - q)^LISTED, where q is the share of all strangers' photos that pass against one photo.
4. Each side gets its own threshold for the FPIR. The interval is a bootstrap over people, paired.
5. This is a comparison of two sides on one set; operating points come from elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from device.domain.sight import F32
from device.errors import BadData
from engines.cli.compare_command import Change

FPIR = 0.001
LISTED = 100
DRAWS = 400
SEED = 1
F64 = NDArray[np.float64]
Places = NDArray[np.intp]
STEPS = np.linspace(0.2, 0.95, 751)
"""Thresholds tried: a step of .001."""
NEAR = 100
"""Steps below everybody's threshold at which a draw of people is first searched."""


@dataclass(frozen=True, slots=True)
class Searches:
    """Scores of one side over one set of people.

    person    of each photo;  photos  how many photos that person has, by photo
    mated     score of each ordered pair of one person's photos;  mated_of  its person
    scores    of strangers at STEPS[0] or above, by photo searched (`probe`) and photo enrolled (`listed`)
    """

    person: Places
    photos: F64
    mated: F64
    mated_of: Places
    scores: F64
    probe: Places
    listed: Places


def searches(templates: F32, people: Sequence[str]) -> Searches:
    """Rule 1. Raises BadData when nobody has a second photo."""
    names, person = np.unique(np.asarray(people), return_inverse=True)
    scores = (templates @ templates.T).astype(np.float64)
    own = person[:, None] == person[None, :]
    np.fill_diagonal(scores, -1.0)
    one, other = np.nonzero(own & ~np.eye(len(person), dtype=bool))
    if not len(one) or len(names) < 3:
        raise BadData(
            f"{len(names)} people, {len(one) // 2} pairs of photos of one person: a change in TPIR cannot be "
            "measured; a data set needs hundreds of people, some with several photos"
        )
    mated = scores[one, other]
    probe, listed = np.nonzero(~own & (scores >= STEPS[0]))
    return Searches(
        person, np.bincount(person)[person].astype(np.float64), mated, person[one], scores[probe, listed], probe, listed
    )


def rates(found: Searches, times: F64, fpir: float, least: int = 0) -> tuple[float, int]:
    """TPIR at `fpir` for people that count `times` (rules 2 to 4), and its place in STEPS, from `least` on."""
    weight = times[found.person] / found.photos
    strangers = np.maximum(times.sum() - times[found.person], 1e-9)
    at = np.minimum(np.searchsorted(STEPS, found.scores, side="right") - 1, len(STEPS) - 1)
    low, high = least, len(STEPS) - 1
    while low < high:  # the lowest threshold whose FPIR is small enough; it falls with the threshold
        middle = (low + high) // 2
        passing = at >= middle
        many = np.bincount(found.probe[passing], weights=weight[found.listed[passing]], minlength=len(found.person))
        share = np.minimum(many / strangers, 1.0)
        here = float((weight * (1 - (1 - share) ** LISTED)).sum() / weight.sum())
        low, high = (low, middle) if here <= fpir else (middle + 1, high)
    pairs = np.bincount(found.mated_of, minlength=len(times))[found.mated_of]
    each = times[found.mated_of] / pairs
    return float((each * (found.mated >= STEPS[low])).sum() / max(each.sum(), 1e-9)), low


def resampled(found: Searches, drawn: Sequence[F64], fpir: float) -> tuple[float, list[float]]:
    """TPIR at `fpir` for everybody, and for each draw of people.

    A draw's threshold lies near everybody's: only scores from a little below it on are looked at, and all of them only
    where that was not enough.
    """
    share, place = rates(found, np.ones(len(drawn[0])), fpir)
    least = max(0, place - NEAR)
    near = found.scores >= STEPS[least]
    few = replace(found, scores=found.scores[near], probe=found.probe[near], listed=found.listed[near])
    shares = []
    for times in drawn:
        here, at = rates(few, times, fpir, least)
        shares.append(here if at > least else rates(found, times, fpir)[0])
    return share, shares


def change(people: Sequence[str], one: F32, other: F32, fpirs: Sequence[float] = (FPIR,)) -> list[Change]:
    """Compare two engines' unit templates (n, d) of the same photos of `people`, once for each FPIR.

    A row of zeros is a photo that gave no template: it matches nobody. Raises BadData.
    """
    before, after = searches(one, people), searches(other, people)
    count = len(set(people))
    rng = np.random.default_rng(SEED)
    drawn = [rng.multinomial(count, np.full(count, 1 / count)).astype(np.float64) for _ in range(DRAWS)]
    return [_change(before, after, drawn, fpir) for fpir in fpirs]


def _change(before: Searches, after: Searches, drawn: Sequence[F64], fpir: float) -> Change:
    first, firsts = resampled(before, drawn, fpir)
    second, seconds = resampled(after, drawn, fpir)
    low, high = (100 * float(value) for value in np.quantile(np.subtract(seconds, firsts), [0.025, 0.975]))
    mated, photos = len(before.mated), len(before.person)
    return Change(fpir, LISTED, first, second, 100 * (second - first), low, high, mated, photos * (photos - 1) - mated)
