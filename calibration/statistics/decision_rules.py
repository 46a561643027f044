"""Decision rules on photos: what a passage of several looks would score, for the evidence that is made for one rule.

1. A rule's name is what `device.domain.decision_rule` calls it; an artefact states it, and a device that decides by
   another rule has no evidence.
2. Different photos stand for looks. Frames of one passage are more alike, so that combining them shifts strangers'
   scores by less: the evidence errs on the side of a higher threshold.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from device.domain.sight import F32
from device.errors import UsageError

Scores = Callable[[F32, F32, F32], F32]


@dataclass(frozen=True, slots=True)
class Rule:
    """name  as artefacts state it;  words  for a reader of the artefact

    scores  looks (n, k, d) unit rows in order, raw lengths (n, k) and entries (m, d) unit rows -> (n, m) scores
    """

    name: str
    words: str
    scores: Scores


def _weights(lengths: F32) -> F32:
    """Weight of a look by the raw length of its template."""
    weights: F32 = np.maximum(lengths - 5.0, 0.3) ** 2
    return weights


def _fused(looks: F32, weights: F32, entries: F32) -> F32:
    means = np.einsum("nk,nkd->nd", weights, looks)
    means /= np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-9)
    scores: F32 = (means @ entries.T).astype(np.float32)
    return scores


def weighted_mean(looks: F32, lengths: F32, entries: F32) -> F32:
    """Cosine of the weighted mean of all looks."""
    return _fused(looks, _weights(lengths), entries)


def running_mean(looks: F32, lengths: F32, entries: F32) -> F32:
    """Highest cosine that the weighted mean reaches after any look: a device decides after each."""
    weights = _weights(lengths)
    scores = _fused(looks[:, :1], weights[:, :1], entries)
    for count in range(2, looks.shape[1] + 1):
        scores = np.maximum(scores, _fused(looks[:, :count], weights[:, :count], entries))
    return scores


def best_look(looks: F32, _lengths: F32, entries: F32) -> F32:
    """Highest cosine of any look."""
    scores: F32 = np.einsum("nkd,md->nkm", looks, entries).max(1)
    return scores


WEIGHTED_MEAN = Rule("weighted mean/1", "the quality-weighted mean of all looks", weighted_mean)
_RULES = (
    WEIGHTED_MEAN,
    Rule("running weighted mean/1", "the highest score of the quality-weighted mean after any look", running_mean),
    Rule("best look/1", "the highest score of any look", best_look),
)
RULES: Mapping[str, Rule] = MappingProxyType({rule.name: rule for rule in _RULES})


def rule(name: str) -> Rule:
    """The rule of that name. Raises UsageError with those there are."""
    if name not in RULES:
        raise UsageError(f"{name!r} is no decision rule; known: {', '.join(RULES)}")
    return RULES[name]
