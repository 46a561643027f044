"""What a precision costs: the change in TPIR at one FPIR, the same people and photos before and after.

1. One photo of each person is enrolled (the first); the others of people with several are mated searches. A search by
   somebody unlisted is any photo against the enrolled photos of everybody else.
2. FPIR of a list of LISTED people: the mean over photos of the probability that the best of LISTED strangers drawn from
   all others passes, 1 - (1 - k/n)^LISTED where k of n strangers pass. A person's photos share one weight.
3. Each precision gets its own threshold for the FPIR. The interval is a bootstrap over people, paired.
4. This is a comparison of two precisions on one set; operating points come from elsewhere.
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
STEPS = np.linspace(0.2, 0.95, 751)
"""Thresholds tried: a step of .001."""


@dataclass(frozen=True, slots=True)
class Searches:
    """Scores of one precision over one set of people.

    mated        score of each mated search;  mated_of  its person
    strangers    scores of at least STEPS[0]; by (photo, enrolled person)
    photo_of     person of each photo
    """

    mated: F64
    mated_of: NDArray[np.intp]
    scores: F64
    photo: NDArray[np.intp]
    enrolled: NDArray[np.intp]
    photo_of: NDArray[np.intp]


def searches(templates: F32, people: Sequence[str]) -> Searches:
    """Rule 1. Raises BadData when nobody has a second photo."""
    names, first, owner = np.unique(np.asarray(people), return_index=True, return_inverse=True)
    scores = (templates @ templates[first].T).astype(np.float64)
    rows = np.arange(len(templates))
    mated = rows != first[owner]
    if not mated.any() or len(names) < 3:
        raise BadData(
            f"{len(names)} people, {int(mated.sum())} second photos: what a precision costs cannot be measured; "
            "a data set needs hundreds of people, some with several photos"
        )
    own = scores[rows, owner].copy()
    scores[rows, owner] = -1.0
    photo, enrolled = np.nonzero(scores >= STEPS[0])
    return Searches(own[mated], owner[mated], scores[photo, enrolled], photo, enrolled, owner)


def rates(found: Searches, times: F64) -> float:
    """TPIR at FPIR for people weighed by `times` (rules 2 and 3)."""
    photos = np.bincount(found.photo_of, minlength=len(times)).astype(np.float64)
    strangers = times.sum() - times[found.photo_of]
    weight = times[found.photo_of] / photos[found.photo_of]
    at = np.minimum(np.searchsorted(STEPS, found.scores, side="right") - 1, len(STEPS) - 1)
    low, high = 0, len(STEPS) - 1
    while low < high:  # the lowest threshold whose FPIR is small enough; it falls with the threshold
        middle = (low + high) // 2
        passing = at >= middle
        many = np.bincount(found.photo[passing], weights=times[found.enrolled[passing]], minlength=len(found.photo_of))
        share = np.minimum(many / np.maximum(strangers, 1e-9), 1.0)
        fpir = float((weight * (1 - (1 - share) ** LISTED)).sum() / weight.sum())
        low, high = (low, middle) if fpir <= FPIR else (middle + 1, high)
    each = times[found.mated_of] / np.bincount(found.mated_of, minlength=len(times))[found.mated_of]
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
        unmated=len(people),
    )
