"""Open-set identification: the share of unlisted people who alert, and of listed people who are found.

1. A search is one passer-by against a list of N others, drawn from the data. Instead of drawing lists, the chance
   over all lists is computed: with c of M others above the threshold, a list of N holds none of them with probability
   C(M-c, N) / C(M, N). That is the mean over every list there is.
2. A listed person is found when their own entry reaches the threshold and no other entry of the list is nearer.
3. Intervals draw people (calibration/statistics/resample.py): the same draw decides who passes and who is listed. A
   draw has some people twice, so its lists hold fewer different people and alert less often: draws are scaled to the
   estimate.
4. A list longer than nine tenths of the data is not computed here but extrapolated (calibration/statistics/tail.py),
   and marked so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calibration.data.faces import Faces, Indices
from calibration.statistics.resample import F64, I64
from calibration.statistics.tail import mean_of
from device.domain.sight import F32

GRID = np.round(np.arange(0.30, 0.80, 0.004), 4)
LARGEST_SHARE = 0.9


@dataclass(frozen=True, slots=True)
class Trial:
    """One passage of everybody in `probe_people` past everybody in `list_people`; scores (probes, listed)."""

    probe_people: Indices
    list_people: Indices
    scores: F32

    @property
    def most(self) -> int:
        """The longest list that this data can show (rule 4)."""
        return int(LARGEST_SHARE * (len(self.list_people) - 1))

    @property
    def same(self) -> NDArray[np.bool_]:
        """A probe's score against its own entry."""
        equal: NDArray[np.bool_] = self.probe_people[:, None] == self.list_people[None, :]
        return equal


@dataclass(frozen=True, slots=True)
class Rates:
    """At each threshold of `grid`: estimate (grid,) and bootstrap draws (grid, draws)."""

    grid: F64
    estimate: F64
    draws: F64


def trial(
    faces: Faces, *, enrolled: int = 1, looks: int = 1, least: int = 1, seed: int = 0, probes: F32 | None = None
) -> Trial:
    """Everybody with `looks` photos passes a list of everybody with `least` photos, `enrolled` of them listed.

    A listed person's probes are made of their other photos. `probes` (n, d): templates to use instead, row by row, of
    the same photos made smaller; rows of zeros are photos that gave none.
    """
    rng = np.random.default_rng(seed)
    order = [rng.permutation(rows) for rows in faces.rows()]
    listed = [p for p, rows in enumerate(order) if len(rows) >= max(least, enrolled)]
    able = [p for p, rows in enumerate(order) if len(rows) >= looks]
    entries = mean_of(faces.templates, [order[p] for p in listed], 0, enrolled)
    chosen = [order[p][-looks:] for p in able]
    source = faces.looks if probes is None else probes
    passing = np.stack([source[rows].mean(0) for rows in chosen])
    length = np.linalg.norm(passing, axis=1, keepdims=True)
    passing = np.divide(passing, length, out=np.zeros_like(passing), where=length > 0)
    scores: F32 = (passing @ entries.T).astype(np.float32)
    # People with no photo left beside those enrolled cannot be searched for, nor photos that gave no template.
    places = {p: index for index, p in enumerate(listed)}
    for row, person in enumerate(able):
        if person in places and (len(order[person]) < enrolled + looks or length[row, 0] == 0):
            scores[row, places[person]] = np.nan
    return Trial(np.array(able, np.intp), np.array(listed, np.intp), scores)


def false_alerts(trials: Sequence[Trial], subjects: int, times: I64, among: NDArray[np.bool_] | None = None) -> Rates:
    """FPIR at list size `subjects`, averaged over trials. `among` (people,) restricts who passes, not who is listed."""
    estimates, draws = [], []
    everybody = np.ones((len(times), 1), np.int64)
    for each in trials:
        who = np.ones(len(each.probe_people), bool) if among is None else among[each.probe_people]
        one = Trial(each.probe_people[who], each.list_people, each.scores[who])
        estimates.append(_false_alerts(one, subjects, everybody)[:, 0])
        draws.append(_false_alerts(one, subjects, times))
    estimate, drawn = np.mean(estimates, 0), np.mean(draws, 0)
    mean = drawn.mean(1, keepdims=True)
    centred = np.divide(drawn * estimate[:, None], mean, out=np.zeros_like(drawn), where=mean > 0)
    return Rates(GRID, estimate, np.minimum(centred, 1.0))


def found(trials: Sequence[Trial], subjects: int, times: I64, among: NDArray[np.bool_] | None = None) -> Rates:
    """TPIR at list size `subjects`, averaged over trials (rule 2)."""
    estimates, draws = [], []
    for each in trials:
        rows, columns = np.nonzero(each.same)
        own = each.scores[rows, columns].astype(np.float64)
        keep = np.isfinite(own) if among is None else np.isfinite(own) & among[each.probe_people[rows]]
        rows, own = rows[keep], own[keep]
        others = np.where(each.same, -2.0, each.scores)[rows]
        nearer = (others >= own[:, None]).sum(1)
        first = _spared(nearer[:, None], np.full((len(own), 1), len(each.list_people) - 1), subjects - 1)[:, 0]
        hits = (own[None, :] >= GRID[:, None]) * first
        drawn = times[each.probe_people[rows]].astype(np.float64)
        estimates.append(hits.mean(1) if len(own) else np.full(len(GRID), np.nan))
        draws.append(hits @ drawn / np.maximum(drawn.sum(0), 1e-12))
    return Rates(GRID, np.mean(estimates, 0), np.mean(draws, 0))


def people_found(trials: Sequence[Trial], among: NDArray[np.bool_] | None = None) -> int:
    """How many different people can be looked for."""
    people: set[int] = set()
    for each in trials:
        rows, columns = np.nonzero(each.same)
        known = each.probe_people[rows[np.isfinite(each.scores[rows, columns])]]
        people.update(int(p) for p in known if among is None or among[p])
    return len(people)


def at_rate(alerts: Rates, hits: Rates, limit: float) -> tuple[float, float, F64, F64]:
    """Threshold at which false alerts fall to `limit`, the share found there, and both for every draw.

    Between two thresholds of the grid, linear in the logarithm of the rate.
    """
    threshold = crossing(alerts.grid, alerts.estimate, limit)
    drawn = np.array([crossing(alerts.grid, alerts.draws[:, k], limit) for k in range(alerts.draws.shape[1])])
    share = float(np.interp(threshold, hits.grid, hits.estimate))
    shares = np.array([np.interp(t, hits.grid, hits.draws[:, k]) for k, t in enumerate(drawn)])
    return threshold, share, drawn, shares


def crossing(grid: F64, rate: F64, limit: float) -> float:
    """The first threshold at which a falling rate is at most `limit`; NaN when it never is."""
    below = np.flatnonzero(rate <= limit)
    if not len(below):
        return float("nan")
    at = int(below[0])
    if at == 0 or rate[at] == rate[at - 1]:
        return float(grid[at])
    high, low = np.log(max(rate[at - 1], 1e-12)), np.log(max(rate[at], 1e-7))
    part = (high - np.log(limit)) / (high - low) if high > low else 1.0
    return float(grid[at - 1] + min(1.0, part) * (grid[at] - grid[at - 1]))


def _false_alerts(one: Trial, subjects: int, times: I64) -> F64:
    """(grid, draws) rule 1 for every draw of people; pairs enter from the highest score down."""
    scores = np.where(one.same, -2.0, np.nan_to_num(one.scores, nan=-2.0))
    rows, columns = np.nonzero(scores >= GRID[0])
    values = scores[rows, columns]
    weight = times[one.list_people].astype(np.int64)
    passing = times[one.probe_people].astype(np.float64)
    own = np.where(np.isin(one.probe_people, one.list_people)[:, None], times[one.probe_people], 0)
    others = weight.sum(0)[None, :] - own
    count = np.zeros((len(one.probe_people), times.shape[1]), np.int64)
    rates = np.zeros((len(GRID), times.shape[1]))
    order = np.argsort(-values)
    rows, columns, values = rows[order], columns[order], values[order]
    entered = 0
    touched = np.zeros(len(one.probe_people), bool)
    for at in range(len(GRID) - 1, -1, -1):
        upto = int(np.searchsorted(-values, -GRID[at], side="right"))
        np.add.at(count, rows[entered:upto], weight[columns[entered:upto]])
        touched[rows[entered:upto]] = True
        entered = upto
        hit = 1 - _spared(count[touched], others[touched], subjects)
        rates[at] = (passing[touched] * hit).sum(0) / np.maximum(passing.sum(0), 1e-12)
    return rates


def _spared(above: I64 | NDArray[np.intp], others: I64, subjects: int) -> F64:
    """C(M-c, N) / C(M, N) by logarithms of factorials (rule 1); a list longer than M takes them all."""
    table = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, int(others.max(initial=1)) + 1)))])
    size = np.minimum(subjects, others)
    left = others - above
    possible = left >= size
    inside = np.maximum(left - size, 0)
    logs = table[np.maximum(left, 0)] - table[inside] - table[others] + table[others - size]
    spared: F64 = np.where(possible, np.exp(np.minimum(logs, 0.0)), 0.0)
    return spared
