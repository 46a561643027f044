"""Everything `lfr evaluate` measures of one data set on one engine, as one plain document."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from calibration.data.faces import Faces
from calibration.statistics import open_set
from calibration.statistics.mates import mates
from calibration.statistics.open_set import Rates, Trial, at_rate, false_alerts, found, people_found, trial
from calibration.statistics.resample import F64, I64, interval, share_interval, weights
from calibration.statistics.tail import Fit, fit, strangers
from device.domain.operating_point import Tail
from device.domain.sight import F32
from device.errors import EvidenceUnusable
from engines.cli.compare_command import one_pair

Known = dict[int, tuple[Rates, Rates]]
"""False alerts and found, by list size."""
SIZES = (100, 400, 1000, 1822, 4000, 10_000, 20_000)
LIMITS = (0.01, 0.003, 0.001)
HEIGHTS = (32, 48, 64, 100)
SETTINGS = ((1, 1), (2, 1), (3, 1), (1, 2), (1, 3))
"""Photos listed, looks fused."""
DRAWS = 300
TRIALS = 3
SETTING_LIST = 100
MIN_CELL = 30
MATCH_RATES = (1e-2, 1e-3, 1e-4)


def evaluate(
    faces: Faces,
    *,
    reduced: Callable[[int], F32] | None = None,
    groups: Mapping[str, str] | None = None,
    min_cell: int = MIN_CELL,
    sizes: Sequence[int] = SIZES,
    seed: int = 0,
    draws: int = DRAWS,
) -> dict[str, Any]:
    """The document. `reduced(height)`: templates of the same photos at that face height, zeros where there is
    none; of people with one photo none is asked for.

    Raises EvidenceUnusable when nobody has two photos.
    """
    if faces.with_two < 2:
        raise EvidenceUnusable(
            f"{faces.with_two} of {len(faces.people)} people have two usable photos; nobody can be looked for: "
            "add a second photo of some people"
        )
    times = weights(faces.source, draws, seed)
    trials = [trial(faces, seed=seed + k) for k in range(TRIALS)]
    known: Known = {n: (false_alerts(trials, n, times), found(trials, n, times)) for n in sizes if n <= trials[0].most}
    document: dict[str, Any] = {
        "data": _data(faces),
        "verification": _verification(faces, times),
        "identification": _identification(faces, trials, known, times, sizes, seed),
        "curves": _curves(known),
        "photos": _settings(faces, times, seed),
    }
    if reduced is not None:
        document["heights"] = _heights(faces, reduced, times, seed)
    if groups is not None:
        document["groups"] = _groups(faces, groups, trials, times, min_cell)
    return document


def _data(faces: Faces) -> dict[str, Any]:
    reasons: dict[str, int] = {}
    for _, reason in faces.rejected:
        reasons[reason.partition(":")[0]] = reasons.get(reason.partition(":")[0], 0) + 1
    return {
        "people": len(faces.people),
        "photos": len(faces.files),
        "people_with_two_photos": faces.with_two,
        "rejected": reasons,
        "notes": len(faces.notes),
    }


def _verification(faces: Faces, times: I64) -> dict[str, Any]:
    """One photo against one photo: share of people accepted at the threshold of a false match rate."""
    pairs, own = strangers(faces), mates(faces)
    order = np.argsort(-pairs.score)
    score, share = pairs.score[order], np.cumsum(pairs.weight[order]) / pairs.weight.sum()
    rows = []
    for rate in MATCH_RATES:
        threshold = float(score[np.searchsorted(share, rate)])
        low, high = own.interval(threshold, times)
        told = one_pair(len(faces.people), 1) <= rate
        share_of = _share(own.found(threshold), low, high)
        rows.append({"false_match_rate": rate, "threshold": threshold, "told": told, **share_of})
    levels = np.geomspace(max(1e-6, float(share[0])), 1, 60)
    at = np.minimum(np.searchsorted(share, levels), len(score) - 1)
    curve = [[float(x), own.found(float(score[k]))] for x, k in zip(levels, at, strict=True)]
    return {"rows": rows, "curve": curve, "people": own.people}


def _identification(
    faces: Faces, trials: list[Trial], known: Known, times: I64, sizes: Sequence[int], seed: int
) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    people = people_found(trials)
    for subjects, (alerts, hits) in known.items():
        for limit in LIMITS:
            threshold, share, drawn, shares = at_rate(alerts, hits, limit)
            low, high = share_interval(share, shares, people)
            row = _row(subjects, limit, threshold, interval(drawn), _share(share, low, high), False)
            rows.append(row | {"told": one_pair(len(faces.people), subjects) <= limit})
    beyond = [n for n in sizes if n > trials[0].most]
    if beyond:
        try:
            tail = fit(faces, strangers(faces), times, seed, rule=None)
        except EvidenceUnusable as fault:
            return [*rows, *({"subjects": n, "extrapolated": True, "withheld": str(fault)} for n in beyond)]
        rows += [_extrapolated(faces, tail, subjects, limit, times) for subjects in beyond for limit in LIMITS]
    return rows


def _extrapolated(faces: Faces, tail: Fit, subjects: int, limit: float, times: I64) -> dict[str, Any]:
    """By the fitted tail: one photo listed, one look. A nearer stranger is a false alert, not a miss."""
    own = mates(faces)
    threshold = _inverse(tail.tail, subjects, limit)
    drawn = np.array([_inverse(each, subjects, limit) for each in tail.replicates])
    shares = np.array([own.found_in(t, times[:, [k]])[0] for k, t in enumerate(drawn)])
    share = own.found(threshold)
    low, high = share_interval(share, shares, own.people)
    return _row(subjects, limit, threshold, interval(drawn), _share(share, low, high), True)


def _inverse(tail: Tail, subjects: int, limit: float) -> float:
    """The threshold at which one photo against `subjects` others gives `limit`."""
    chance = -math.expm1(math.log1p(-limit) / subjects) / tail.rate
    if abs(tail.shape) < 1e-9:
        return tail.start - tail.scale * math.log(chance)
    return float(tail.start + tail.scale * (chance**-tail.shape - 1) / tail.shape)


def _curves(known: Known) -> list[dict[str, Any]]:
    """FPIR and TPIR against the threshold, with 95 % bands."""
    curves = []
    for subjects, both in known.items():
        for name, rates in zip(("false_alerts", "found"), both, strict=True):
            low, high = np.nanquantile(rates.draws, [0.025, 0.975], axis=1)
            curves.append(
                {
                    "subjects": subjects,
                    "what": name,
                    "threshold": rates.grid.tolist(),
                    "rate": rates.estimate.tolist(),
                    "low": low.tolist(),
                    "high": high.tolist(),
                }
            )
    return curves


def _settings(faces: Faces, times: I64, seed: int) -> dict[str, Any]:
    """One, two, three photos listed; one, two, three looks fused: the same people are looked for in all of them."""
    photos = np.bincount(faces.owner, minlength=len(faces.people))
    needed = max(listed + looks for listed, looks in SETTINGS)
    able = photos >= needed
    if able.sum() < MIN_CELL:
        return {"withheld": f"{int(able.sum())} people have {needed} usable photos, {MIN_CELL} are needed", "rows": []}
    rows = []
    subjects = min(SETTING_LIST, int(open_set.LARGEST_SHARE * (able.sum() - 1)))
    for listed, looks in SETTINGS:
        runs = [trial(faces, enrolled=listed, looks=looks, least=needed, seed=seed + k) for k in range(TRIALS)]
        alerts, hits = false_alerts(runs, subjects, times), found(runs, subjects, times, able)
        for limit in LIMITS[:2]:
            threshold, share, drawn, shares = at_rate(alerts, hits, limit)
            low, high = share_interval(share, shares, float(able.sum()))
            row = _row(subjects, limit, threshold, interval(drawn), _share(share, low, high), False)
            rows.append({"listed_photos": listed, "looks": looks, **row})
    return {"people": int(able.sum()), "rows": rows}


def _heights(faces: Faces, reduced: Callable[[int], F32], times: I64, seed: int) -> dict[str, Any]:
    """Probes of people with two photos made smaller, lists not, at the threshold of full-size ones at 400 listed."""
    full = [trial(faces, seed=seed + k) for k in range(TRIALS)]
    subjects, limit = min(400, full[0].most), LIMITS[1]
    threshold, *_ = at_rate(false_alerts(full, subjects, times), found(full, subjects, times), limit)
    rows, able = [], np.bincount(faces.owner, minlength=len(faces.people)) >= 2
    for height in (*HEIGHTS, None):
        small = None if height is None else reduced(height)
        runs = full if small is None else [trial(faces, seed=seed + k, probes=small) for k in range(TRIALS)]
        cell = _cell(runs, subjects, threshold, times, able)
        rows.append({"face_height_px": height, **cell})
    return {"subjects": subjects, "limit": limit, "threshold": threshold, "rows": rows}


def _groups(faces: Faces, groups: Mapping[str, str], trials: list[Trial], times: I64, min_cell: int) -> dict[str, Any]:
    """Per group at one threshold for all; cells of too few people are withheld and say why."""
    subjects, limit = min(400, trials[0].most), LIMITS[1]
    threshold, *_ = at_rate(false_alerts(trials, subjects, times), found(trials, subjects, times), limit)
    rows = []
    for group in sorted(set(groups.values())):
        among = np.array([groups.get(person) == group for person in faces.people])
        rows.append({"group": group, **_cell(trials, subjects, threshold, times, among, min_cell)})
    unnamed = sum(person not in groups for person in faces.people)
    return {
        "subjects": subjects,
        "limit": limit,
        "threshold": threshold,
        "min_cell": min_cell,
        "people_without_group": unnamed,
        "rows": rows,
    }


def _cell(
    trials: list[Trial], subjects: int, threshold: float, times: I64, among: Any, min_cell: int = 1
) -> dict[str, Any]:
    """False alerts and found at one threshold, each with its people and interval, or the reason why it is withheld."""
    passing = len(times) if among is None else int(among.sum())
    mated = people_found(trials, among)
    cell: dict[str, Any] = {}
    for name, people, measure in (("false_alerts", passing, false_alerts), ("found", mated, found)):
        if people < min_cell:
            cell[name] = {"people": people, "withheld": f"{people} people, fewer than {min_cell}: no rate is shown"}
            continue
        known = measure(trials, subjects, times, among)
        share = float(np.interp(threshold, known.grid, known.estimate))
        draws: F64 = np.array(
            [np.interp(threshold, known.grid, known.draws[:, k]) for k in range(known.draws.shape[1])]
        )
        low, high = share_interval(share, draws, people)
        cell[name] = {"people": people, **_share(share, low, high)}
    return cell


def _row(
    subjects: int, limit: float, threshold: float, band: tuple[float, float], share: dict[str, float], beyond: bool
) -> dict[str, Any]:
    """One operating point; `found` with its interval, the threshold with its own."""
    return {
        "subjects": subjects,
        "limit": limit,
        "threshold": threshold,
        "threshold_low": band[0],
        "threshold_high": band[1],
        "found": share,
        "extrapolated": beyond,
    }


def _share(value: float, low: float, high: float) -> dict[str, float]:
    return {"share": value, "low": low, "high": high}
