"""Exact search of one watchlist: every probe against every template, as a matrix product.

An entry with several photos is scored by the normalised mean of their templates, so that the matrix has one row an
entry. 20,000 entries are 10 MB; nothing approximate is needed: 0.02 ms a query for 1,822 entries and 0.18 ms for 20,000
(measured 2026-11-23, two x86-64 vCPU, OPENBLAS_NUM_THREADS=1, which a worker sets before numpy is imported: a second
BLAS thread only takes a core from the inference).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from device.domain.decision_rule import keep_two_best
from device.domain.sight import F32

SYNTHETIC = "synthetic-"
MAX_QUERIES = 64


@dataclass(frozen=True, slots=True)
class Hit:
    """The best entry for one query; `other_score` is the best among all other entries, -1 when there are none."""

    entry: int
    score: float
    other_score: float


class Gallery:
    """Templates of a watchlist in one block of memory; one owner thread. `refs[hit.entry]` names the entry."""

    def __init__(
        self,
        refs: Sequence[str],
        templates: F32,
        owner: NDArray[np.integer],
        *,
        screen_dim: int = 0,
    ) -> None:
        """`templates` (n, template_dim) float32, unit rows; `owner[i]`: row i's index in `refs`.

        screen_dim  of a pair: so many numbers at each row's end are the screen's, and `screen_best` searches them alone
        """
        owner = np.asarray(owner, np.intp)
        if templates.ndim != 2 or len(templates) != len(owner) or not templates.size:
            raise ValueError(f"templates are {templates.shape}, wanted ({len(owner)}, template_dim)")
        if len(refs) == 0 or set(owner.tolist()) != set(range(len(refs))):
            raise ValueError("every entry needs at least one template, and every template an entry")
        order = np.argsort(owner, kind="stable")
        rows = np.ascontiguousarray(templates[order], np.float32)
        if len(rows) > len(refs):
            # Rows are grouped by entry, so that the first row of each is where the one before it ends.
            rows = _means(rows, np.searchsorted(owner[order], np.arange(len(refs))))
        self.refs = tuple(refs)
        self._withdrawn: set[int] = set()
        self._rows: F32 = rows
        self._screen: F32 = _unit_rows(rows[:, rows.shape[1] - screen_dim :])
        self._scores: F32 = np.zeros((MAX_QUERIES, len(rows)), np.float32)

    @property
    def template_dim(self) -> int:
        """Numbers in a template: as on the recogniser's card."""
        return int(self._rows.shape[1])

    def __len__(self) -> int:
        return len(self.refs)

    def search(self, queries: F32) -> list[Hit]:
        """Best and second-best entry for each of up to MAX_QUERIES unit rows of `queries` (q, template_dim) float32."""
        scores = self._scores[: len(queries)]
        for query, row in zip(queries, scores, strict=True):
            # One by one: for a few queries BLAS takes two to three times as long over one product of all of them.
            np.matmul(self._rows, query, out=row)
        hits = [_best(row) for row in scores]
        scores.fill(0)
        return hits

    def note_look(self, query: F32, best: F32) -> None:
        """Enter one look's score with every entry into a passage's two best ones.

        query  unit row (template_dim,) float32;  best (2, entries) float32, the higher score first; 0: none yet
        """
        scores = self._scores[:2]
        np.matmul(self._rows, query, out=scores[0])
        keep_two_best(best, scores)

    def best_of_looks(self, best: F32) -> Hit:
        """The entry with the highest mean of two looks of one kind; nobody who was withdrawn meanwhile.

        best  (kinds, 2, entries) float32: the two highest scores of each kind of looks
        """
        means = self._scores[: len(best)]
        np.add(best[:, 0], best[:, 1], out=means)
        means *= 0.5
        highest = means[0]
        for other in means[1:]:
            np.maximum(highest, other, out=highest)
        highest[list(self._withdrawn)] = 0
        hit = _best(highest)
        means.fill(0)
        return hit

    def screen_best(self, query: F32) -> float:
        """Best score of the screen's unit query (screen_dim,) against anybody's part; -1 of a list without one."""
        if not self._screen.shape[1]:
            return -1.0
        scores = self._scores[0]
        np.matmul(self._screen, query, out=scores)
        best = float(scores.max())
        scores.fill(0)
        return best

    def withdraw(self, refs: Iterable[str]) -> int:
        """Zero the templates of these entries; unknown references are ignored. Returns the number withdrawn in all."""
        wanted = set(refs)
        for entry in [number for number, ref in enumerate(self.refs) if ref in wanted]:
            self._rows[entry].fill(0)
            self._screen[entry].fill(0)
            self._withdrawn.add(entry)
        return len(self._withdrawn)

    def wipe(self) -> None:
        """Zero every template and score; the gallery matches no query afterwards."""
        self._rows.fill(0)
        self._screen.fill(0)
        self._scores.fill(0)


def fill(count: int, seed: int, dim: int) -> tuple[list[str], F32]:
    """References and (count, dim) unit templates of people who do not exist: for measuring speed only.

    Random directions of 128 dimensions have cosines of about 0.09 to anything; they never reach a threshold.
    """
    rows = np.random.default_rng(seed).standard_normal((count, dim), dtype=np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return [f"{SYNTHETIC}{number:05d}" for number in range(count)], rows


def _unit_rows(rows: F32) -> F32:
    """A copy of the rows, each of length 1."""
    unit: F32 = np.array(rows, np.float32)
    if unit.shape[1]:
        unit /= np.maximum(np.linalg.norm(unit, axis=1, keepdims=True), np.finfo(np.float32).tiny)
    return unit


def _means(rows: F32, starts: NDArray[np.intp]) -> F32:
    means: F32 = np.add.reduceat(rows, starts, axis=0).astype(np.float32)
    means /= np.maximum(np.linalg.norm(means, axis=1, keepdims=True), np.finfo(np.float32).tiny)
    return means


def _best(scores: F32) -> Hit:
    entry = int(scores.argmax())
    score = float(scores[entry])
    if len(scores) == 1:
        return Hit(entry, score, -1.0)
    scores[entry] = -2.0
    other = float(scores.max())
    scores[entry] = score
    return Hit(entry, score, other)
