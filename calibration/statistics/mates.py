"""Mated scores: how alike photos of one person are. People are the unit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calibration.data.faces import Faces, Indices
from calibration.statistics.decision_rules import WEIGHTED_MEAN, Rule
from calibration.statistics.resample import F64, I64, share_interval
from calibration.statistics.tail import looks_of, mean_of
from device.domain.recognisers import Recognisers
from device.domain.sight import F32

_DRAWS = 8


@dataclass(frozen=True, slots=True)
class Mates:
    """Comparisons of a person with the same person: index of the person, score, share of that person."""

    person: Indices
    score: F64
    weight: F64

    @property
    def people(self) -> int:
        return len(np.unique(self.person))

    def found(self, threshold: float) -> float:
        """Share of people found at `threshold`."""
        return float((self.weight * (self.score >= threshold)).sum() / self.weight.sum())

    def found_in(self, threshold: float, times: I64) -> F64:
        """The same for every bootstrap draw of people (people, replicates)."""
        drawn = self.weight[:, None] * times[self.person]
        share: F64 = (drawn * (self.score >= threshold)[:, None]).sum(0) / np.maximum(drawn.sum(0), 1e-12)
        return share

    def interval(self, threshold: float, times: I64) -> tuple[float, float]:
        """95 % interval of `found`, over people."""
        return share_interval(self.found(threshold), self.found_in(threshold, times), self.people)


@dataclass(frozen=True, slots=True)
class Gate:
    """A pair's screen: the last `dim` numbers of a template, and the cosine with anybody listed that a look must reach.

    Here it is held against a person's own entry, not against the whole list: that finds fewer.
    """

    dim: int
    least: float

    @staticmethod
    def of(chosen: Recognisers) -> Gate | None:
        """Of a pair; None of one recogniser."""
        return None if chosen.screen is None else Gate(chosen.screen_dim, chosen.fusion.gate)

    def passes(self, looks: F32, entries: F32) -> NDArray[np.bool_]:
        """(looks, entries) whether the main recogniser would look."""
        cosines = self._unit(looks) @ self._unit(entries).T
        result: NDArray[np.bool_] = cosines >= self.least
        return result

    def _unit(self, templates: F32) -> F32:
        part = templates[:, -self.dim :]
        unit: F32 = part / np.maximum(np.linalg.norm(part, axis=1, keepdims=True), 1e-9)
        return unit


def mates(
    faces: Faces,
    enrolled: int = 1,
    looks: int = 1,
    seed: int = 0,
    *,
    rule: Rule = WEIGHTED_MEAN,
    gate: Gate | None = None,
) -> Mates:
    """`enrolled` photos averaged against `looks` other photos by a rule, of everybody who has that many photos.

    One against one: every ordered pair of photos of a person, one enrolled, one as look. More: _DRAWS random splits.
    """
    rows = faces.rows()
    able = [person for person, photos in enumerate(rows) if len(photos) >= enrolled + looks]
    if not able:
        empty = np.zeros(0)
        return Mates(np.zeros(0, np.intp), empty, empty)
    if enrolled == looks == 1:
        return _every_pair(faces, rows, able, gate)
    rng = np.random.default_rng(seed)
    people, scores = [], []
    for _ in range(_DRAWS):
        order = [rng.permutation(rows[person]) for person in able]
        listed = mean_of(faces.templates, order, 0, enrolled)
        seen = [rows[enrolled : enrolled + looks] for rows in order]
        people.append(np.array(able, np.intp))
        scores.append(_own_scores(rule, faces, (seen, listed), gate))
    return Mates(np.concatenate(people), np.concatenate(scores), np.full(_DRAWS * len(able), 1 / _DRAWS))


def _own_scores(rule: Rule, faces: Faces, given: tuple[list[Indices], F32], gate: Gate | None) -> F64:
    """Each person's looks against that person's own entry, a hundred people at a time."""
    seen, listed = given
    parts = []
    for start in range(0, len(seen), 100):
        rows = np.stack(seen[start : start + 100])
        entries = listed[start : start + 100]
        scores = np.diagonal(rule.scores(looks_of(faces, rows), entries)).astype(np.float64)
        if gate is not None:
            each = zip(faces.looks[rows], entries, strict=True)
            scores = np.where([gate.passes(looks, entry[None]).any() for looks, entry in each], scores, -1.0)
        parts.append(scores)
    return np.concatenate(parts)


def _every_pair(faces: Faces, rows: list[Indices], able: list[int], gate: Gate | None) -> Mates:
    people, scores, weights = [], [], []
    for person in able:
        own = rows[person]
        alike = (faces.looks[own] @ faces.templates[own].T).astype(np.float64)
        if gate is not None:
            alike = np.where(gate.passes(faces.looks[own], faces.templates[own]), alike, -1.0)
        alike = alike[~np.eye(len(own), dtype=bool)]
        people.append(np.full(len(alike), person, np.intp))
        scores.append(alike)
        weights.append(np.full(len(alike), 1 / len(alike)))
    return Mates(np.concatenate(people), np.concatenate(scores), np.concatenate(weights))
