"""The tail of strangers' scores: peaks over a threshold, fitted by a generalised Pareto distribution, over people.

1. A comparison is two people of one source. All their photos are compared, as enrolled and as looks; together they
   weigh one.
2. `start` is the score that one comparison in START_RATE^-1 exceeds: low enough to leave hundreds of comparisons, high
   enough for the fit to hold (`Fit.by_start` shows the result of other starts).
3. Shape and scale by Zhang and Stephens (2009): a posterior mean over the profile likelihood; it needs no optimiser and
   does not fail on small samples.
4. Every replicate draws people, and fits anew: what is uncertain in rate, shape and scale moves together.
5. Averaging photos (device.watchlist.gallery) and combining looks (calibration.statistics.decision_rules)
   shift scores upwards. Measured on the people who have enough photos: quantile of those scores less that of one photo
   against one look, both at SHIFT_RATE of the same people.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from calibration.data.faces import Faces, Indices
from calibration.statistics.decision_rules import WEIGHTED_MEAN, Looks, Rule
from calibration.statistics.resample import F64, I64
from device.domain.operating_point import Tail
from device.domain.sight import F32
from device.errors import EvidenceUnusable

START_RATE = 6e-4
SHIFT_RATE = 3e-4
FEWEST_ABOVE = 100.0
"""Weighted comparisons above the start, below which no shape can be told."""
FUSED_LOOKS = 3
"""Photos that stand for the looks of one passage: different photos, so more than adjacent frames would do."""
MOST_PHOTOS = 3
_DRAWS = 24
_BLOCK_ROWS, _FLOOR_ROWS = 512, 400
_SHIFT_PEOPLE = 700  # drawn at random where more have enough photos: comparisons grow with the square
_SPARE = 6.0  # a draw of people may weigh the top comparisons less: so many times as many are looked at


@dataclass(frozen=True, slots=True)
class Pairs:
    """Strangers' comparisons above some score: the two people, score and weight (rule 1)."""

    first: Indices
    second: Indices
    score: F64
    weight: F64

    def above(self, score: float) -> Pairs:
        keep = self.score > score
        return Pairs(self.first[keep], self.second[keep], self.score[keep], self.weight[keep])

    def drawn(self, times: I64) -> F64:
        """Weights when person p was drawn `times[p]` times."""
        weights: F64 = self.weight * times[self.first] * times[self.second]
        return weights


@dataclass(frozen=True, slots=True)
class Fit:
    """A fitted tail and how well it fits.

    replicates  one tail a bootstrap draw
    above       weighted comparisons above the start;  total  all comparisons of two people
    distance    largest difference of the two distribution functions (Kolmogorov and Smirnov);  critical: what samples
                of this size from the fitted distribution itself stay under in 95 of 100 cases
    by_start    start, shape, and the score that is exceeded once in 10^6 comparisons, for other starts
    """

    tail: Tail
    replicates: tuple[Tail, ...]
    above: float
    total: float
    distance: float
    critical: float
    by_start: tuple[tuple[float, float, float], ...]


def strangers(faces: Faces, share: float = 1.0) -> Pairs:
    """Every comparison of photos of two people of one source: each photo once as a look and once enrolled.

    share  only the highest scores, about so many of all: 15 million comparisons need a gigabyte. 1: all of them
    """
    photos = np.bincount(faces.owner, minlength=len(faces.people)).astype(np.float64)
    floor = -2.0 if share >= 1 else _floor(faces, share)
    found: list[tuple[Indices, Indices, F32]] = []
    for start in range(0, len(faces.owner), _BLOCK_ROWS):
        block = faces.owner[start : start + _BLOCK_ROWS]
        scores = faces.looks[start : start + _BLOCK_ROWS] @ faces.templates.T
        strange = (block[:, None] != faces.owner) & (faces.source[block][:, None] == faces.source[faces.owner])
        rows, columns = np.nonzero(strange & (scores > floor))
        found.append((block[rows], faces.owner[columns], scores[rows, columns]))
    one, other, score = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return Pairs(one, other, score.astype(np.float64), 0.5 / (photos[one] * photos[other]))


def _floor(faces: Faces, share: float) -> float:
    """A score that about `share` of the comparisons exceed, by a sample of the photos."""
    rows = np.random.default_rng(0).permutation(len(faces.looks))[:_FLOOR_ROWS]
    return float(np.quantile(faces.looks[rows] @ faces.templates.T, 1 - share))


def fit(faces: Faces, pairs: Pairs, times: I64, seed: int = 0, *, rule: Rule | None = WEIGHTED_MEAN) -> Fit:
    """The tail and its replicates; `times` (people, replicates) as `resample.weights` draws.

    rule   its shifts are measured (rule 5); None: they are 0, and scores are one photo against one look
    Raises EvidenceUnusable when there are too few people.
    """
    total = _comparisons(faces.source, np.ones(len(faces.people), np.int64))
    start = _quantile(pairs.score, pairs.weight, START_RATE * total)
    top = pairs.above(start)
    above = float(top.weight.sum())
    if above < FEWEST_ABOVE:
        needed = math.ceil(math.sqrt(2 * FEWEST_ABOVE / START_RATE))
        raise EvidenceUnusable(
            f"{len(faces.people)} people give {above:.0f} comparisons above the start of the tail, and "
            f"{FEWEST_ABOVE:.0f} are needed to tell its shape: about {needed} people of one source"
        )
    shape, scale = pareto(top.score - start, top.weight)
    everybody = np.column_stack([np.ones(len(faces.people), np.int64), times])
    shifts = shift(faces, everybody, seed, rule) if rule is not None else np.zeros((everybody.shape[1], 1))
    tails = []
    for column in range(times.shape[1]):
        weights = top.drawn(times[:, column])
        known = weights > 0
        drawn = pareto(top.score[known] - start, weights[known])
        rate = float(weights.sum()) / _comparisons(faces.source, times[:, column])
        tails.append(Tail(start, rate, *drawn, tuple(shifts[column + 1])))
    distance, critical = goodness(top.score - start, top.weight, shape, scale, seed)
    return Fit(
        tail=Tail(start, above / total, shape, scale, tuple(shifts[0])),
        replicates=tuple(tails),
        above=above,
        total=total,
        distance=distance,
        critical=critical,
        by_start=tuple(_at_start(pairs, total, rate) for rate in (4e-3, 2e-3, 1e-3, START_RATE, 3e-4)),
    )


def pareto(excess: F64, weight: F64) -> tuple[float, float]:
    """Shape and scale of weighted excesses (rule 3); equal weights give Zhang and Stephens' estimator."""
    order = np.argsort(excess)
    x, w = excess[order], weight[order]
    n = float(w.sum())
    grid = np.arange(1, 31 + int(math.sqrt(n))) - 0.5
    quartile = float(x[np.searchsorted(np.cumsum(w), n / 4)])
    theta = 1 / x[-1] + (1 - np.sqrt((len(grid)) / grid)) / (3 * quartile)
    k = -(w @ np.log1p(-np.outer(x, theta))) / n
    likelihood = n * (np.log(theta / k) + k - 1)
    posterior = np.exp(likelihood - likelihood.max())
    mean = float((theta * posterior).sum() / posterior.sum())
    shape = float(w @ np.log1p(-mean * x)) / n
    return shape, -shape / mean


def goodness(excess: F64, weight: F64, shape: float, scale: float, seed: int, rounds: int = 200) -> tuple[float, float]:
    """Distance between data and fit, and what is usual at this size: as many draws from the fit, fitted anew.

    The comparisons overlap in people, so that the usual distance is rather too small: the test is strict.
    """
    rng = np.random.default_rng(seed)
    n = round(float(weight.sum()))
    usual = []
    for _ in range(rounds):
        drawn = _quantiles(rng.random(n), shape, scale)
        usual.append(_distance(drawn, np.ones(n), *pareto(drawn, np.ones(n))))
    return _distance(excess, weight, shape, scale), float(np.quantile(usual, 0.95))


def shift(faces: Faces, times: I64, seed: int, rule: Rule) -> F64:
    """(draws, MOST_PHOTOS) shifts for 1 … MOST_PHOTOS photos an entry, FUSED_LOOKS looks (rule 5); at least 0."""
    rows = faces.rows()
    able = [person for person in range(len(rows)) if len(rows[person]) >= max(MOST_PHOTOS, FUSED_LOOKS)]
    if len(able) < 50:
        raise EvidenceUnusable(
            f"{len(able)} people have {max(MOST_PHOTOS, FUSED_LOOKS)} usable photos, and 50 are needed to tell how "
            "several photos of a person change the scores"
        )
    rng = np.random.default_rng(seed)
    able = sorted(rng.permutation(able)[:_SHIFT_PEOPLE].tolist())
    people = np.array(able, np.intp)
    one, other = np.nonzero(~np.eye(len(people), dtype=bool) & (faces.source[people][:, None] == faces.source[people]))
    single: list[F32] = []
    combined: list[list[F32]] = [[] for _ in range(MOST_PHOTOS)]
    for _ in range(_DRAWS):
        order = [rng.permutation(rows[person]) for person in able]
        looks = looks_of(faces, np.stack([rows[:FUSED_LOOKS] for rows in order]))
        single.append((looks.plain[:, 0] @ mean_of(faces.templates, order, -1, None).T)[one, other])
        for photos in range(1, MOST_PHOTOS + 1):
            scores = rule.scores(looks, mean_of(faces.templates, order, -photos, None))
            combined[photos - 1].append(scores[one, other])
    counts = times[people]
    total = _DRAWS * (counts[one] * counts[other]).sum(0).astype(np.float64)

    def level(scores: list[F32]) -> F64:
        """For each draw of people, the score that SHIFT_RATE of the comparisons exceed."""
        score = np.concatenate(scores)
        order = np.argsort(-score)[: int(len(score) * SHIFT_RATE * _SPARE)]
        pair = order % len(one)
        cumulated = np.cumsum(counts[one[pair]] * counts[other[pair]], axis=0)
        at = (cumulated < SHIFT_RATE * total).sum(0)
        found: F64 = score[order[np.minimum(at, len(order) - 1)]].astype(np.float64)
        return found

    plain = level(single)
    return np.maximum(0.0, np.column_stack([level(scores) - plain for scores in combined]))


def looks_of(faces: Faces, rows: Indices) -> Looks:
    """Photos as looks: `rows` (people, looks) of `faces`."""
    return Looks(faces.looks[rows], faces.templates[rows], faces.weights[rows])


def mean_of(templates: F32, order: list[Indices], start: int, stop: int | None) -> F32:
    """Unit mean of each person's rows `order[person][start:stop]` of `templates`."""
    means = np.stack([templates[rows[start:stop]].mean(0) for rows in order])
    unit: F32 = (means / np.linalg.norm(means, axis=1, keepdims=True)).astype(np.float32)
    return unit


def _comparisons(source: Indices, times: I64) -> float:
    """Comparisons of two different people of one source, each as often as both were drawn."""
    total = 0.0
    for each in np.unique(source):
        drawn = times[source == each].astype(np.float64)
        total += (drawn.sum() ** 2 - (drawn**2).sum()) / 2
    return total


def _at_start(pairs: Pairs, total: float, rate: float) -> tuple[float, float, float]:
    start = _quantile(pairs.score, pairs.weight, rate * total)
    top = pairs.above(start)
    shape, scale = pareto(top.score - start, top.weight)
    rarest = start + float(_quantiles(np.array([1e-6 / (top.weight.sum() / total)]), shape, scale)[0])
    return start, shape, rarest


def _quantile(score: F64, weight: F64, above: float) -> float:
    """The score above which comparisons of the weight `above` lie."""
    order = np.argsort(-score)
    return float(score[order[np.searchsorted(np.cumsum(weight[order]), above)]])


def _quantiles(above: F64, shape: float, scale: float) -> F64:
    """Excess that a share `above` of the distribution lies over."""
    if abs(shape) < 1e-9:
        return -scale * np.log(above)
    excess: F64 = scale * (above**-shape - 1) / shape
    return excess


def _distance(excess: F64, weight: F64, shape: float, scale: float) -> float:
    order = np.argsort(excess)
    x, below = excess[order], np.cumsum(weight[order]) / weight.sum()
    inside = np.maximum(1 + shape * x / scale, 1e-300)
    fitted = 1 - (np.exp(-x / scale) if abs(shape) < 1e-9 else inside ** (-1 / shape))
    return float(np.maximum(np.abs(fitted - below), np.abs(fitted - np.concatenate([[0], below[:-1]]))).max())
