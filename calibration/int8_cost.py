"""What a precision costs: the change in TPIR at one FPIR, the same people and photos before and after.

1. Every photo is enrolled in turn and every other one searched: all ordered pairs count, so that the figure does not
   hang on which photo came first. A person's photos share one weight on either side.
2. TPIR: of people with several photos, the mean share of their pairs at or above the threshold.
3. FPIR of a list of LISTED people: the mean over people of the probability that the best of LISTED strangers passes,
   1 - (1 - q)^LISTED, where q is the share of all strangers' photos that pass against one photo.
4. Each precision gets its own threshold for the FPIR. The interval is a bootstrap over people, paired.
5. This is a comparison of two precisions on one set; operating points come from elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from device.domain.sight import F32
from device.errors import BadData
from engines.table import Cost

FPIR = 0.001
LISTED = 100
DRAWS = 400
SEED = 1
F64 = NDArray[np.float64]
Places = NDArray[np.intp]
STEPS = np.linspace(0.2, 0.95, 751)
"""Thresholds tried: a step of .001."""


@dataclass(frozen=True, slots=True)
class Searches:
    """Scores of one precision over one set of people.

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
            f"{len(names)} people, {len(one) // 2} pairs of photos of one person: what a precision costs cannot be "
            "measured; a data set needs hundreds of people, some with several photos"
        )
    mated = scores[one, other]
    probe, listed = np.nonzero(~own & (scores >= STEPS[0]))
    return Searches(
        person, np.bincount(person)[person].astype(np.float64), mated, person[one], scores[probe, listed], probe, listed
    )


def rates(found: Searches, times: F64) -> float:
    """TPIR at FPIR for people that count `times` (rules 2 to 4)."""
    weight = times[found.person] / found.photos
    strangers = np.maximum(times.sum() - times[found.person], 1e-9)
    at = np.minimum(np.searchsorted(STEPS, found.scores, side="right") - 1, len(STEPS) - 1)
    low, high = 0, len(STEPS) - 1
    while low < high:  # the lowest threshold whose FPIR is small enough; it falls with the threshold
        middle = (low + high) // 2
        passing = at >= middle
        many = np.bincount(found.probe[passing], weights=weight[found.listed[passing]], minlength=len(found.person))
        share = np.minimum(many / strangers, 1.0)
        fpir = float((weight * (1 - (1 - share) ** LISTED)).sum() / weight.sum())
        low, high = (low, middle) if fpir <= FPIR else (middle + 1, high)
    pairs = np.bincount(found.mated_of, minlength=len(times))[found.mated_of]
    each = times[found.mated_of] / pairs
    return float((each * (found.mated >= STEPS[low])).sum() / max(each.sum(), 1e-9))


def cost(people: Sequence[str], exact: F32, other: F32) -> Cost:
    """Compare two precisions' unit templates (n, d) of the same photos of `people`. Raises BadData."""
    before, after = searches(exact, people), searches(other, people)
    count = len(set(people))
    everybody = np.ones(count)
    one, two = rates(before, everybody), rates(after, everybody)
    rng = np.random.default_rng(SEED)
    lost = []
    for _ in range(DRAWS):
        times = rng.multinomial(count, np.full(count, 1 / count)).astype(np.float64)
        lost.append(rates(before, times) - rates(after, times))
    low, high = (float(value) for value in np.quantile(lost, [0.025, 0.975]))
    return Cost(
        fpir=FPIR,
        tpir_fp32=round(one, 5),
        tpir_int8=round(two, 5),
        points=round(100 * (one - two), 3),
        low=round(100 * low, 3),
        high=round(100 * high, 3),
        listed=LISTED,
        mated=len(before.mated),
        unmated=len(people) * (len(people) - 1) - len(before.mated),
    )
