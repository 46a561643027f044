"""From templates to the artefact: tail, range, band, table, and its sentences.

1. `smallest_list` is 100: below, a single photo has too much influence. `largest_list` is the longest list whose bound
   meets the limit at a threshold inside the band, at most tenfold what one passer-by was compared with in the data,
   rounded down to STEP people: precisions refuse a photograph more or less, and the statement is one for all.
2. The band begins where the tail does (for the most photos an entry), and ends where half of the listed people would be
   missed with one look: higher thresholds were not tested.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from calibration.data.faces import Faces
from calibration.statistics.decision_rules import Rule
from calibration.statistics.mates import Gate, Mates, mates
from calibration.statistics.resample import I64, weights
from calibration.statistics.tail import FUSED_LOOKS, START_RATE, Fit, Pairs, fit, strangers
from device.domain.operating_point import LIMIT, Evidence, Tail, per_thousand
from device.domain.recognisers import Recognisers
from device.enrolment.engine_photo_reader import READER_VERSION
from device.errors import EvidenceUnusable
from device.evidence.artefact import FORMAT, Artefact, Data, Pair, Point, Precision, TailRow
from engines.cards.model_card import ModelCard

SHIPPED_REPLICATES = 500
CONFIDENCE = 0.95
SMALLEST_LIST = 100
STEP = 500
TENFOLD = 10
TOP_SHARE = 0.02  # of all comparisons: far more than the tail begins with
TABLE = (100, 400, 1000, 1822, 4000, 10_000, 20_000)
OPERATIONAL_LIST = 1822
"""People on the list of the first deployment that was published with numbers: evidence must reach that far."""


@dataclass(frozen=True, slots=True)
class Models:
    """Origin of the templates."""

    detector: ModelCard
    recogniser: Recognisers


@dataclass(frozen=True, slots=True)
class Measured:
    """One precision: its row of the artefact, and the rest of what plots and tables show."""

    row: Precision
    fit: Fit
    pairs: Pairs
    single: Mates
    fused: Mates
    compared: int


def measured(
    faces: Faces,
    precision: str,
    how: str,
    *,
    rule: Rule,
    limit: float = LIMIT,
    seed: int = 0,
    gate: Gate | None = None,
) -> Measured:
    """All measurements of one precision from its templates; a pair's `gate` counts in what is found alone.

    Raises EvidenceUnusable when there are too few.
    """
    single, fused = mates(faces, gate=gate), mates(faces, looks=FUSED_LOOKS, rule=rule, gate=gate)
    if single.people == 0:
        raise EvidenceUnusable(
            "nobody in the data has two usable photos: how many listed people would be found cannot be measured"
        )
    times = weights(faces.source, SHIPPED_REPLICATES, seed)
    pairs = strangers(faces, TOP_SHARE)
    found = fit(faces, pairs, times, seed, rule=rule)
    tail, replicates = _rounded(found.tail), tuple(_rounded(each) for each in found.replicates)
    compared = int(np.bincount(faces.source).max()) - 1
    band = (_up(tail.start + max(tail.shift)), _down(_half_found(single)))
    evidence = Evidence("", tail, replicates, CONFIDENCE, SMALLEST_LIST, TENFOLD * compared, band)
    largest = _largest(evidence, limit)
    evidence = Evidence("", tail, replicates, CONFIDENCE, SMALLEST_LIST, largest, band)
    row = Precision(
        precision=precision,
        how=how,
        tail=TailRow(tail.start, tail.rate, tail.shape, tail.scale, tail.shift),
        replicates=tuple((r.rate, r.shape, r.scale, *r.shift) for r in replicates),
        confidence=CONFIDENCE,
        smallest_list=SMALLEST_LIST,
        largest_list=largest,
        band=band,
        fit=_fit_figures(found),
        table=tuple(
            _point(evidence, subjects, limit, compared, single, fused, times)
            for subjects in (*(n for n in TABLE if n < largest), largest)
        ),
    )
    return Measured(row, found, pairs, single, fused, compared)


def artefact(
    name: str,
    made_at: str,
    faces: Faces,
    rows: Sequence[Precision],
    sources: Sequence[str],
    *,
    models: Models,
    rule: Rule,
    limit: float = LIMIT,
) -> Artefact:
    """The whole document, unsigned. `models`: those that made the templates; `rule`: how looks are combined."""
    data = Data(
        sources=tuple(sources),
        people=len(faces.people),
        people_with_two_photos=faces.with_two,
        photos=len(faces.files),
        pairs=round(sum(n * (n - 1) / 2 for n in np.bincount(faces.source))),
        limits=LIMITS,
    )
    return Artefact(
        format=FORMAT,
        id=name,
        made_at=made_at,
        recogniser=models.recogniser.name,
        recogniser_sha256=models.recogniser.source_sha256,
        detector=models.detector.name,
        detector_sha256=models.detector.source_sha256,
        reader_version=READER_VERSION,
        decision_rule=rule.name,
        limit=limit,
        statement=_statement(data, rows, limit, rule),
        data=data,
        precisions=tuple(rows),
        pair=_pair(models.recogniser),
    )


def _pair(chosen: Recognisers) -> Pair | None:
    main, screen, fusion = chosen.main, chosen.screen, chosen.fusion
    if screen is None:
        return None
    return Pair(
        main=main.name,
        main_sha256=main.source_sha256,
        screen=screen.name,
        screen_sha256=screen.source_sha256,
        main_weight=fusion.main_weight,
        gate=fusion.gate,
    )


LIMITS = (
    "The photographs are portraits made for the press or for web pages, mostly frontal, sharp and well lit, taken by "
    "people who meant to show a face. A camera over a street gives other angles, light, movement and sizes.",
    "A passage in front of a camera is decided by several looks, by forty and more of somebody who stays. Three "
    "different photographs stand for them here: more looks were not measured on that many people.",
    "Close relatives and look-alikes are as rare in the data as they happen to be. Where more of them pass, there are "
    "more false alerts.",
    "The data names no age, sex or ethnicity, and none was inferred: differences between groups are not stated.",
    "This is the developer's own measurement. It is not an independent test of the device, and does not replace one.",
)


def _statement(data: Data, rows: Sequence[Precision], limit: float, rule: Rule) -> tuple[str, ...]:
    """The table for readers."""
    largest = min(row.largest_list for row in rows)
    last = min((row.table[-1] for row in rows), key=lambda point: point.found)
    operational = (
        f"This covers the {OPERATIONAL_LIST:,} people of the first published deployment."
        if largest >= OPERATIONAL_LIST
        else f"This does not reach the {OPERATIONAL_LIST:,} people of the first published deployment."
    )
    return (
        f"The face recognition of this device was measured on {data.photos:,} photographs of {data.people:,} people, "
        f"{data.people_with_two_photos:,} of whom have two or more, in {data.pairs:,} comparisons of different people.",
        f"For every watchlist of up to {largest:,} people the device sets its threshold so that, with 95 % confidence "
        f"on this data, at most {limit * 1000:g} in 1,000 passers-by who are not listed would raise a false alert. "
        f"It does not arm with a longer list. {operational}",
        f"The price of that: with one photograph enrolled and one look, {rows[0].table[0].found:.0%} of listed people "
        f"are found with {rows[0].table[0].subjects} people listed, and {last.found:.0%} with {last.subjects:,}.",
        f"A passage of several looks is decided by {rule.words}, and the rates are for that.",
        "Rates for lists longer than the number of people in the data are extrapolated by an extreme-value model, "
        "at most tenfold, and marked so.",
        "Every alert is a possible match that a person must judge.",
    )


def _largest(evidence: Evidence, limit: float) -> int:
    """The longest list whose threshold lies in the band and whose bound meets the limit (rule 1)."""

    def covered(subjects: int) -> bool:
        listed = (float(subjects),)
        return not evidence.objection(evidence.threshold_for(listed, limit), listed, limit)

    low, high = SMALLEST_LIST, evidence.largest_list
    if high < low or not covered(low):
        raise EvidenceUnusable(
            f"not even a list of {SMALLEST_LIST} people meets {per_thousand(limit)} false alerts in 1,000 faces with "
            f"{CONFIDENCE:.0%} confidence on this data: more people are needed"
        )
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if covered(middle) else (low, middle - 1)
    return low - low % STEP if low > STEP else low


def _point(
    evidence: Evidence, subjects: int, limit: float, compared: int, single: Mates, fused: Mates, times: I64
) -> Point:
    listed = (float(subjects),)
    threshold = evidence.threshold_for(listed, limit)
    predicted = evidence.predict(threshold, listed)
    low, high = single.interval(threshold, times)
    return Point(
        subjects=subjects,
        threshold=_significant(threshold),
        predicted=_significant(predicted.rate),
        bound=_significant(predicted.bound),
        found=_significant(single.found(threshold)),
        found_low=_significant(low),
        found_high=_significant(high),
        found_fused=_significant(fused.found(threshold)) if fused.people else None,
        extrapolated=subjects > compared,
    )


def _half_found(single: Mates) -> float:
    """The threshold at which half of the people are found with one look."""
    order = np.argsort(-single.score)
    reached = np.cumsum(single.weight[order]) >= single.weight.sum() / 2
    return float(single.score[order[int(np.argmax(reached))]])


def _fit_figures(found: Fit) -> dict[str, float]:
    figures = {
        "comparisons_above_start": found.above,
        "start_is_exceeded_by_1_in": 1 / START_RATE,
        "kolmogorov_distance": found.distance,
        "kolmogorov_usual_95": found.critical,
    }
    for start, shape, rarest in found.by_start:
        figures[f"shape_if_started_at_{start:.3f}"] = shape
        figures[f"one_in_a_million_if_started_at_{start:.3f}"] = rarest
    return {name: _significant(value) for name, value in figures.items()}


def _rounded(tail: Tail) -> Tail:
    """Six figures: the written numbers are those that are used."""
    start, rate, shape, scale = (_significant(v) for v in (tail.start, tail.rate, tail.shape, tail.scale))
    return Tail(start, rate, shape, scale, tuple(_significant(v) for v in tail.shift))


def _significant(value: float) -> float:
    return float(f"{value:.6g}")


def _up(value: float) -> float:
    return math.ceil(value * 1000) / 1000


def _down(value: float) -> float:
    return math.floor(value * 1000) / 1000
