"""Ranges of tensors on real faces: factors that equalise a tensor's channels, then the range that int8 spans.

1. A channel's size is the mean over pictures of its largest magnitude. Factors bring channels to one size, weighed
   against the reader's weights: size^ALPHA / weight^(1 - ALPHA), geometric mean 1. A depthwise reader has a scale a
   channel, so there the size alone counts.
2. Ranges come from one histogram a tensor of the equalised graph: its maximum, a percentile, the one that loses least
   information (entropy: Kullback-Leibler divergence of the clipped from the quantised distribution; Migacz 2017), or
   the one with the least mean square error.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from calibration.int8.graph_variants import Variants
from engines.graph.equalise import channel_weights, equalisable, equalise
from engines.graph.quantise import STEPS, quantised_layers
from engines.runner import U8

F64 = NDArray[np.float64]
ALPHA = 0.7
"""Of 0.3, 0.5, 0.7 and 1.0 the one with the best templates for both max and percentile 99.99 (SFace, 2026-11-24)."""
BINS = 2048
LEVELS = 128
DIGITS = 4
"""Significant digits of a stored number: a range that is off by a twentieth of a per cent changes nothing."""


def tensors(variants: Variants) -> list[str]:
    """Inputs of what may be quantised, each once, in order."""
    return list(dict.fromkeys(node.inputs[0] for node in quantised_layers(variants.graph())))


def factors_of(variants: Variants, pictures: Iterable[U8]) -> tuple[dict[str, tuple[float, ...]], dict[str, float]]:
    """Rule 1; and the largest magnitude of every tensor after the factors, over all pictures."""
    graph = variants.graph()
    may, names = equalisable(graph), tensors(variants)
    counts = {name: len(graph.constants[before.inputs[1]]) for name, (before, _) in may.items()}
    sums: dict[str, F64] = {}
    most: dict[str, F64] = {}
    seen = 0
    with variants.runner(lambda _graph: None, names) as runner:
        for picture in pictures:
            outputs = runner.run(picture)
            seen += 1
            for name in names:
                here = np.abs(outputs[name]).reshape(counts.get(name, 1), -1).max(axis=1).astype(np.float64)
                sums[name] = sums.get(name, 0.0) + here
                most[name] = np.maximum(most.get(name, 0.0), here)
    found = {}
    for name, (_, reader) in may.items():
        size = np.maximum(sums[name] / seen, 1e-6 * float(most[name].max() or 1.0))
        weight = np.maximum(channel_weights(graph, reader, counts[name]), 1e-9)
        alpha = 1.0 if reader.op == "Conv" and reader.attributes.get("group", 1) > 1 else ALPHA
        raw = size**alpha / weight ** (1 - alpha)
        found[name] = tuple(rounded(value) for value in raw / np.exp(np.log(raw).mean()))
    largest = {name: float((most[name] / np.array(found.get(name, 1.0))).max()) for name in names}
    return found, largest


def histograms(
    variants: Variants,
    factors: Mapping[str, tuple[float, ...]],
    largest: Mapping[str, float],
    pictures: Iterable[U8],
) -> dict[str, F64]:
    """Counts of magnitudes in BINS equal bins from 0 to `largest`, for every tensor of the evened graph."""
    counts = {name: np.zeros(BINS) for name in largest}
    with variants.runner(lambda graph: equalise(graph, factors), list(largest)) as runner:
        for picture in pictures:
            outputs = runner.run(picture)
            for name, most in largest.items():
                place = np.minimum(np.abs(outputs[name]).ravel() * ((BINS - 1e-3) / max(most, 1e-12)), BINS - 1)
                counts[name] += np.bincount(place.astype(np.int32), minlength=BINS)
    return counts


def percentile(share: float) -> Callable[[F64], float]:
    """The part of the histogram's span below which `share` per cent of the values lie."""

    def of(counts: F64) -> float:
        return float(np.searchsorted(np.cumsum(counts), share / 100 * counts.sum()) + 1) / BINS

    return of


def entropy(counts: F64) -> float:
    """The part of the span whose clipping and quantising to LEVELS levels loses least information (rule 2)."""
    best, kept = np.inf, BINS
    total = counts.sum()
    for bins in range(LEVELS, BINS + 1, 16):
        clipped = counts[:bins].copy()
        clipped[-1] += total - counts[:bins].sum()
        edges = np.linspace(0, bins, LEVELS + 1).round().astype(int)
        used = counts[:bins] > 0
        sums = np.add.reduceat(counts[:bins], edges[:-1])
        many = np.maximum(np.add.reduceat(used.astype(np.float64), edges[:-1]), 1)
        spread = np.repeat(sums / many, np.diff(edges)) * used
        both = (clipped > 0) & (spread > 0)
        p, q = clipped[both] / total, spread[both] / max(spread.sum(), 1e-12)
        lost = float((p * np.log(p / q)).sum()) + 10 * float(clipped[(clipped > 0) & (spread == 0)].sum()) / total
        if lost < best:
            best, kept = lost, bins
    return kept / BINS


def least_squares(counts: F64) -> float:
    """The part of the span for which clipping and rounding together have the least mean square error."""
    middle = (np.arange(BINS) + 0.5) / BINS
    kept = np.arange(1, BINS + 1) / BINS
    inside = np.cumsum(counts)
    beyond = counts.sum() - inside
    first, second = (np.cumsum((counts * middle**power)[::-1])[::-1] for power in (1, 2))
    clipped = np.append(second, 0)[1:] - 2 * kept * np.append(first, 0)[1:] + kept**2 * beyond
    error = inside * (kept / STEPS) ** 2 / 12 + clipped
    return float(kept[int(np.argmin(error))])


METHODS: Mapping[str, Callable[[F64], float]] = MappingProxyType(
    {
        "max": lambda _counts: 1.0,
        "percentile 99.999": percentile(99.999),
        "percentile 99.99": percentile(99.99),
        "percentile 99.9": percentile(99.9),
        "entropy": entropy,
        "least squares": least_squares,
    }
)


def ranges(method: str, counts: Mapping[str, F64], largest: Mapping[str, float]) -> dict[str, float]:
    """Range of every tensor by one of METHODS."""
    return {name: rounded(METHODS[method](counts[name]) * largest[name]) for name in largest}


def rounded(value: float) -> float:
    """`value` with DIGITS significant digits."""
    return float(f"{value:.{DIGITS}g}")
