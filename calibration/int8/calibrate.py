"""int8 calibration of one model from one data set of real faces: a table, with its measured cost.

1. People are split three ways, so that nothing is tested on the data it was made from: photos of the first part give
   ranges, those of the second choose the method and the excluded layers, those of the rest measure the cost in TPIR.
   The first two parts take people with one photo as far as there are any, who cannot be mated searches.
2. The cost of a recogniser compares templates of the same crops; that of a detector compares templates of the exact
   recogniser on crops that each detector aligned.
3. The table holds ranges, names, counts and hashes: nothing of a face.
"""

from __future__ import annotations

import platform
import random
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from calibration.data.crops import CropReader, Shown, batch_of, digest_of
from calibration.data.faces import scan, without_twins
from calibration.int8.cost import cost
from calibration.int8.graph_variants import THREADS, Variants, opened
from calibration.int8.layer_errors import answers, excluding, mean_error, sensitivities
from calibration.int8.quantised_front_end import QuantisedFrontEnd
from calibration.int8.ranges import METHODS, factors_of, histograms, ranges
from device.domain.sight import F32, U8
from device.enrolment.model_sessions import ModelSessions
from device.errors import BadData
from engines.cards.catalogue import card
from engines.cards.model_card import RECOGNISER_DEFAULT, ModelCard
from engines.graph.calibration_table import Cost, Table
from engines.prepare.prepare import recipe_of
from engines.runner import Runner
from engines.select import open_runner

FOR_RANGES, FOR_CHOICE, FOR_LAYERS = 128, 64, 32
"""Photos, each of another person."""
FEWEST_PEOPLE = 100
SPLIT_SEED = 0
SQUARE = (256, 256)

Tick = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Parts:
    """Rule 1."""

    ranges: list[Shown]
    choice: list[Shown]
    cost: list[Shown]


@dataclass(frozen=True, slots=True)
class Outcome:
    """The table and the steps that led to it, for the command's output."""

    table: Table
    methods: dict[str, float]
    sensitivities: dict[str, float]
    course: list[tuple[int, float]]


def read_dataset(dataset: Path, room: ModelSessions, tick: Tick) -> list[Shown]:
    """Every usable photo. Raises BadData when there are too few people to calibrate with."""
    reader, shown = CropReader(room), []
    for photo in without_twins(scan(dataset)[0])[0]:
        one = reader.shown(photo.path, photo.person)
        if one is not None:
            shown.append(one)
        tick("reading photos")
    people = len({one.person for one in shown})
    if people < FEWEST_PEOPLE:
        raise BadData(
            f"{dataset}: {people} people with a usable face; int8 calibration needs at least {FEWEST_PEOPLE}, "
            "hundreds to measure its cost"
        )
    return shown


def split(shown: Sequence[Shown]) -> Parts:
    """Rule 1, the same for the same people whatever the order of the photos. Raises BadData without second photos."""
    by_person: dict[str, list[Shown]] = defaultdict(list)
    for one in shown:
        by_person[one.person].append(one)
    order = sorted(by_person)
    random.Random(SPLIT_SEED).shuffle(order)
    order.sort(key=lambda person: len(by_person[person]) > 1)
    spared = min(FOR_RANGES + FOR_CHOICE, len(order) // 3)
    first = spared * FOR_RANGES // (FOR_RANGES + FOR_CHOICE)
    rest = [one for person in sorted(order[spared:]) for one in by_person[person]]
    if len(rest) == len(order) - spared:
        raise BadData("nobody has a second photo: what int8 costs cannot be measured with this data set")
    return Parts(
        [by_person[person][0] for person in order[:first]],
        [by_person[person][0] for person in order[first:spared]],
        rest,
    )


def calibrate(one: ModelCard, weights: Path, dataset: Path, room: ModelSessions, models: Path, tick: Tick) -> Outcome:
    """Make and measure the table of `one`. `room` is the exact engines that read the photos."""
    shown = read_dataset(dataset, room, tick)
    parts = split(shown)
    shape = SQUARE if one.input_size is None else None
    with opened(one, weights, shape) as variants:
        outcome = _chosen(variants, parts, tick)
        measured = _cost(variants, outcome.table, parts.cost, models, tick)
    provenance: dict[str, Any] = {
        "data": dataset.name,
        "photos_sha256": digest_of([s.path for s in shown]),
        "people": len({s.person for s in shown}),
        "photos": len(shown),
        "photos_for_ranges": len(parts.ranges),
        "photos_for_choice": len(parts.choice),
        "photos_for_cost": len(parts.cost),
        "choice": "the least mean error of " + ", ".join(METHODS),
        "errors": {name: float(f"{value:.3g}") for name, value in outcome.methods.items()},
        "most_sensitive": {n: float(f"{v:.3g}") for n, v in list(outcome.sensitivities.items())[:8]},
        "error_by_excluded": [float(f"{value:.3g}") for _, value in outcome.course],
        "date": date.today().isoformat(),
        "software": _software(),
        "machine": platform.machine(),
    }
    return replace(outcome, table=replace(outcome.table, provenance=provenance, cost=measured))


def pictures_of(one: ModelCard, shown: Sequence[Shown]) -> list[U8]:
    """The model's input for each photo."""
    return [s.square if one.role == "detector" else s.crop for s in shown]


def _chosen(variants: Variants, parts: Parts, tick: Tick) -> Outcome:
    """Factors, ranges by the best method, and the excluded layers."""
    one = variants.card
    seen = [batch_of(picture) for picture in pictures_of(one, parts.ranges)]
    factors, largest = factors_of(variants, seen)
    tick("factors")
    counts = histograms(variants, factors, largest, seen)
    tick("histograms")
    pictures = pictures_of(one, parts.choice)
    with variants.runner(lambda _graph: None) as runner:
        exact = answers(one.role, runner, pictures)
    methods: dict[str, float] = {}
    tables: dict[str, Table] = {}
    for method in METHODS:
        tables[method] = Table(
            one.name, one.source_sha256, recipe_of(one), method, factors, ranges(method, counts, largest), (), {}
        )
        with variants.quantised(tables[method]) as runner:
            methods[method] = mean_error(one.role, exact, runner, pictures)
        tick("methods")
    table = tables[min(methods, key=lambda method: methods[method])]
    few = FOR_LAYERS
    found = sensitivities(variants, table, exact[:few], pictures[:few], lambda: tick("layers"))
    table, course = excluding(variants, table, list(found), exact, pictures)
    return Outcome(table, methods, found, course)


def _cost(variants: Variants, table: Table, shown: Sequence[Shown], models: Path, tick: Tick) -> Cost:
    """Rule 2."""
    one = variants.card
    if one.role == "detector":
        return _detector_cost(variants, table, shown, models, tick)
    pictures = pictures_of(one, shown)
    with variants.runner(lambda _graph: None) as exact, variants.quantised(table) as other:
        before = _templates(exact, one.role, _ticking(pictures, tick))
        after = _templates(other, one.role, _ticking(pictures, tick))
    return cost([s.person for s in shown], before, after)


def _detector_cost(variants: Variants, table: Table, shown: Sequence[Shown], models: Path, tick: Tick) -> Cost:
    """Photos read again with the int8 detector; a photo without a face has a template that matches nobody."""
    recogniser = card(RECOGNISER_DEFAULT)
    with tempfile.TemporaryDirectory(prefix="lfr-int8-") as folder:
        front_end = QuantisedFrontEnd(table, variants.weights, Path(folder), models)
        reader = CropReader(front_end)
        again = []
        for one in shown:
            again.append(reader.shown(one.path, one.person))
            tick("cost")
        front_end.close()
    crops = [one.crop for one in shown]
    others = [other.crop if other is not None else one.crop for one, other in zip(shown, again, strict=True)]
    runner = open_runner(recogniser, backend="onnxruntime", threads=THREADS, models=models)
    exact, after = (_templates(runner, recogniser.role, pictures) for pictures in (crops, others))
    runner.close()
    after[[index for index, other in enumerate(again) if other is None]] = 0.0
    return cost([one.person for one in shown], exact, after)


def _templates(runner: Runner, role: str, pictures: Iterable[U8]) -> F32:
    """(n, d) unit templates."""
    return np.stack([np.asarray(one) for one in answers(role, runner, pictures)])


def _ticking(pictures: Sequence[U8], tick: Tick) -> Iterator[U8]:
    for picture in pictures:
        tick("cost")
        yield picture


def _software() -> dict[str, str]:
    from importlib.metadata import version

    return {name: version(name) for name in ("onnxruntime", "onnx", "numpy")}
