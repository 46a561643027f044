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


@dataclass(frozen=True, slots=True)
class Looks:
    """What a rule decides by.

    plain (n, k, d) float32 unit rows, in order;  weights (n, k) of each in a mean
    mirrored (n, k, d) float32 unit rows: each look's mean with that of the mirrored crop
    """

    plain: F32
    mirrored: F32
    weights: F32


Scores = Callable[[Looks, F32], F32]


@dataclass(frozen=True, slots=True)
class Rule:
    """name  as artefacts state it;  words  for a reader of the artefact

    scores  looks and entries (m, d) unit rows -> (n, m) scores
    """

    name: str
    words: str
    scores: Scores


def _fused(looks: F32, weights: F32, entries: F32) -> F32:
    means = np.einsum("nk,nkd->nd", weights, looks)
    means /= np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-9)
    scores: F32 = (means @ entries.T).astype(np.float32)
    return scores


def weighted_mean(looks: Looks, entries: F32) -> F32:
    """Cosine of the weighted mean of all looks."""
    return _fused(looks.plain, looks.weights, entries)


def running_means(looks: Looks, entries: F32) -> F32:
    """After each look the higher cosine of two means, of all looks and of the last WINDOW; the highest of these."""
    plain, weights = looks.plain, looks.weights
    scores = _fused(plain[:, :1], weights[:, :1], entries)
    for count in range(2, plain.shape[1] + 1):
        scores = np.maximum(scores, _fused(plain[:, :count], weights[:, :count], entries))
        if count > WINDOW:
            lately = slice(count - WINDOW, count)
            scores = np.maximum(scores, _fused(plain[:, lately], weights[:, lately], entries))
    return scores


def running_means_or_two_best(looks: Looks, entries: F32) -> F32:
    """The highest of `running_means` and the means of the two highest cosines of single looks, plain and mirrored.

    A device takes mirrored looks near the threshold alone: there nothing else decides, and elsewhere they cannot.
    """
    scores = running_means(looks, entries)
    for rows in (looks.plain, looks.mirrored):
        two_best = np.sort(np.einsum("nkd,md->nkm", rows, entries), 1)[:, -2:].mean(1)
        scores = np.maximum(scores, two_best if rows.shape[1] > 1 else scores)
    return scores


def best_look(looks: Looks, entries: F32) -> F32:
    """Highest cosine of any look."""
    scores: F32 = np.einsum("nkd,md->nkm", looks.plain, entries).max(1)
    return scores


WEIGHTED_MEAN = Rule("weighted mean/1", "the quality-weighted mean of all looks", weighted_mean)
RUNNING_MEANS = Rule(
    f"running means of all and of the last {WINDOW} looks/1",
    f"the highest score, after any look, of the quality-weighted mean of all looks or of the last {WINDOW}",
    running_means,
)
TWO_BEST = Rule(
    f"running means of all and of the last {WINDOW} looks, mean of the two best, plain and mirrored/1",
    f"the highest score, after any look, of the quality-weighted mean of all looks or of the last {WINDOW}, or the "
    "mean of the two highest scores of single looks, each as it is or averaged with its mirrored crop",
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
