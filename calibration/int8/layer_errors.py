"""Error of a quantised network on faces, and of each of its layers, by measurement.

1. A recogniser's error is 1 - cosine to the exact template. A detector's is how far its five points lie from the exact
   ones of the best face, as a part of the face's height; a face that is lost counts 1.
2. A layer's sensitivity is the mean error when it alone is quantised.
3. Layers are excluded from the most sensitive on, until the mean error is at most GOOD, or MOST_EXCLUDED of them are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

import numpy as np

from calibration.data.crops import batch_of
from calibration.int8.graph_variants import Variants
from device.domain.sight import Face
from device.vision.detector import Detector
from engines.graph.calibration_table import Table
from engines.runner import F32, U8, Runner

GOOD: Mapping[str, float] = MappingProxyType({"recogniser": 2e-3, "detector": 1e-2})
"""By role. Templates: what fp16 and bf16 do to them is 1e-5 and 1e-4; at 4e-3 a pair's score moves by about .01."""
MOST_EXCLUDED = 0.2
SCORE_MIN = 0.45


def answers(role: str, runner: Runner, pictures: Iterable[U8]) -> list[F32 | Face | None]:
    """The network's result for each picture: a unit template, or the best face (None when there is none)."""
    if role == "detector":
        front_end = Detector(runner, score_min=SCORE_MIN)
        found = (front_end.detect(picture, frame_size=(picture.shape[1], picture.shape[0])) for picture in pictures)
        return [faces[0] if faces else None for faces in found]
    raw = (np.array(runner.run(batch_of(picture))["template"][0]) for picture in pictures)
    return [(one / max(float(np.linalg.norm(one)), 1e-9)).astype(np.float32) for one in raw]


def error(exact: F32 | Face | None, other: F32 | Face | None) -> float:
    """Rule 1; a face that both miss is no error, one that only the exact network misses is 1."""
    if exact is None or other is None:
        return float(exact is not other)
    if isinstance(exact, Face) and isinstance(other, Face):
        apart = np.linalg.norm(exact.landmarks - other.landmarks, axis=1).mean()
        return min(1.0, float(apart) / max(exact.height_px, 1.0))
    return 1.0 - float(np.asarray(exact) @ np.asarray(other))


def mean_error(role: str, exact: Sequence[F32 | Face | None], runner: Runner, pictures: Sequence[U8]) -> float:
    """Mean of `error` over pictures."""
    return float(np.mean([error(a, b) for a, b in zip(exact, answers(role, runner, pictures), strict=True)]))


def sensitivities(
    variants: Variants,
    table: Table,
    exact: Sequence[F32 | Face | None],
    pictures: Sequence[U8],
    tick: Callable[[], None],
) -> dict[str, float]:
    """Rule 2, by layer, the most sensitive first."""
    layers, found = variants.layers(), {}
    for layer in layers:
        alone = replace(table, excluded=tuple(one for one in layers if one != layer))
        with variants.quantised(alone) as runner:
            found[layer] = mean_error(variants.card.role, exact, runner, pictures)
        tick()
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def excluding(
    variants: Variants,
    table: Table,
    ranked: Sequence[str],
    exact: Sequence[F32 | Face | None],
    pictures: Sequence[U8],
) -> tuple[Table, list[tuple[int, float]]]:
    """Rule 3: the table with its exclusions, and the mean error after each number of them."""
    course: list[tuple[int, float]] = []
    for count in range(int(MOST_EXCLUDED * len(ranked)) + 1):
        table = replace(table, excluded=tuple(sorted(ranked[:count])))
        with variants.quantised(table) as runner:
            course.append((count, mean_error(variants.card.role, exact, runner, pictures)))
        if course[-1][1] <= GOOD[variants.card.role]:
            break
    return table, course
