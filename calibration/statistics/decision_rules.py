"""Decision rules on photos: the score of a passage of several looks, for the evidence that is made for one rule.

1. A rule's name is that of `device.domain.decision_rule`; an artefact states it, and a device with another rule has no
   evidence.
2. Three different photos stand for the looks of a passage, which has more of them (a median of 12.5 in the drawn clips
   of decision record 0302) that are more alike. Whether that makes a threshold higher or lower than passages would
   is not measured, but for one rate on these clips (0403).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from device.domain.sight import F32
from device.errors import UsageError

WINDOW = 3
Scores = Callable[[F32, F32, F32], F32]


@dataclass(frozen=True, slots=True)
class Rule:
    """name  as artefacts state it;  words  for a reader of the artefact

    scores  looks (n, k, d) unit rows in order, their weights (n, k) and entries (m, d) unit rows -> (n, m) scores
    """

    name: str
    words: str
    scores: Scores


def _fused(looks: F32, weights: F32, entries: F32) -> F32:
    means = np.einsum("nk,nkd->nd", weights, looks)
    means /= np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-9)
    scores: F32 = (means @ entries.T).astype(np.float32)
    return scores


def running_means(looks: F32, weights: F32, entries: F32) -> F32:
    """After each look the higher cosine of two means, of all looks and of the last WINDOW; the highest of these."""
    scores = _fused(looks[:, :1], weights[:, :1], entries)
    for count in range(2, looks.shape[1] + 1):
        scores = np.maximum(scores, _fused(looks[:, :count], weights[:, :count], entries))
        if count > WINDOW:
            lately = slice(count - WINDOW, count)
            scores = np.maximum(scores, _fused(looks[:, lately], weights[:, lately], entries))
    return scores


def running_means_or_two_best(looks: F32, weights: F32, entries: F32) -> F32:
    """The higher of `running_means` and the mean of the two highest cosines of single looks."""
    two_best = np.sort(np.einsum("nkd,md->nkm", looks, entries), 1)[:, -2:].mean(1)
    scores: F32 = np.maximum(running_means(looks, weights, entries), two_best)
    return scores


def best_look(looks: F32, _weights: F32, entries: F32) -> F32:
    """Highest cosine of any look."""
    scores: F32 = np.einsum("nkd,md->nkm", looks, entries).max(1)
    return scores


WEIGHTED_MEAN = Rule("weighted mean/1", "the quality-weighted mean of all looks", _fused)
RUNNING_MEANS = Rule(
    f"running means of all and of the last {WINDOW} looks/1",
    f"the highest score, after any look, of the quality-weighted mean of all looks or of the last {WINDOW}",
    running_means,
)
TWO_BEST = Rule(
    f"running means of all and of the last {WINDOW} looks, mean of the two best/1",
    f"the highest score, after any look, of the quality-weighted mean of all looks or of the last {WINDOW}, or the "
    "mean of the two highest scores of single looks",
    running_means_or_two_best,
)
BEST_LOOK = Rule("best look/1", "the highest score of any look", best_look)
RULES: Mapping[str, Rule] = MappingProxyType(
    {rule.name: rule for rule in (TWO_BEST, RUNNING_MEANS, WEIGHTED_MEAN, BEST_LOOK)}
)


def rule(name: str) -> Rule:
    """The rule of that name. Raises UsageError with those there are."""
    if name not in RULES:
        raise UsageError(f"{name!r} is no decision rule; known: {', '.join(RULES)}")
    return RULES[name]
