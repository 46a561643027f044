"""How alike photos of one person are: the other half of every trade-off. People are the unit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from calibration.data.faces import Faces, Indices
from calibration.statistics.resample import F64, I64, share_interval
from calibration.statistics.tail import mean_of

_DRAWS = 8


@dataclass(frozen=True, slots=True)
class Mates:
    """Comparisons of a person with himself: whose (index of the person), how alike, what share of that person."""

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


def mates(faces: Faces, enrolled: int = 1, looks: int = 1, seed: int = 0) -> Mates:
    """`enrolled` photos averaged against `looks` other photos averaged, of everybody who has that many photos.

    One against one: every ordered pair of photos of a person, one enrolled, one looked at. More: _DRAWS random splits.
    """
    rows = faces.rows()
    able = [person for person, photos in enumerate(rows) if len(photos) >= enrolled + looks]
    if not able:
        empty = np.zeros(0)
        return Mates(np.zeros(0, np.intp), empty, empty)
    if enrolled == looks == 1:
        return _every_pair(faces, rows, able)
    rng = np.random.default_rng(seed)
    people, scores = [], []
    for _ in range(_DRAWS):
        order = [rng.permutation(rows[person]) for person in able]
        listed = mean_of(faces.templates, order, 0, enrolled)
        probes = mean_of(faces.looks, order, enrolled, enrolled + looks)
        people.append(np.array(able, np.intp))
        scores.append(np.einsum("ij,ij->i", listed, probes).astype(np.float64))
    return Mates(np.concatenate(people), np.concatenate(scores), np.full(_DRAWS * len(able), 1 / _DRAWS))


def _every_pair(faces: Faces, rows: list[Indices], able: list[int]) -> Mates:
    people, scores, weights = [], [], []
    for person in able:
        own = rows[person]
        alike = (faces.looks[own] @ faces.templates[own].T)[~np.eye(len(own), dtype=bool)].astype(np.float64)
        people.append(np.full(len(alike), person, np.intp))
        scores.append(alike)
        weights.append(np.full(len(alike), 1 / len(alike)))
    return Mates(np.concatenate(people), np.concatenate(scores), np.concatenate(weights))
