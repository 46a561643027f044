"""TPIR at fixed FPIR once more, by drawing lists: shares no line with calibration/ and knows only numpy.

    python tests/unit/calibration/second_opinion.py templates.npy owner.npy 100 400

templates (n, d) unit rows, owner (n,) person of each row. Prints, for each list size and 10, 3, 1 false alerts in
1,000, the threshold and the share found, with the spread of the share over draws of people.
"""

from __future__ import annotations

import sys

import numpy as np


def searched(
    x: np.ndarray, owner: np.ndarray, size: int, lists: int, rng: np.random.Generator
) -> tuple[list[float], list[float]]:
    """Best score of unlisted passers-by, and own score (if nearest) of listed ones, over random lists of `size`."""
    strangers, mates = [], []
    people = np.unique(owner)
    for _ in range(lists):
        photo = {p: rng.permutation(np.flatnonzero(owner == p)) for p in people}
        listed = rng.choice(people, size, replace=False)
        entries = x[[photo[p][0] for p in listed]]
        for p in people:
            if p not in listed:
                strangers.append(float((entries @ x[photo[p][-1]]).max()))
        for k, p in enumerate(listed):
            if len(photo[p]) > 1:
                scores = entries @ x[photo[p][1]]
                mates.append(float(scores[k]) if scores.argmax() == k else -1.0)
    return strangers, mates


def tpir(strangers: list[float], mates: list[float], fpir: float) -> tuple[float, float]:
    """Threshold that a share `fpir` of the strangers reach, and the share of mates that do."""
    threshold = float(np.quantile(strangers, 1 - fpir))
    return threshold, float((np.array(mates) >= threshold).mean())


def main() -> None:
    x, owner = np.load(sys.argv[1]), np.load(sys.argv[2])
    for size in map(int, sys.argv[3:]):
        rng = np.random.default_rng(size)
        whole = searched(x, owner, size, 60, rng)
        parts = []
        for _ in range(20):
            people = rng.choice(np.unique(owner), len(np.unique(owner)), replace=True)
            keep = np.isin(owner, people)
            parts.append(searched(x[keep], owner[keep], size, 8, rng))
        for fpir in (0.01, 0.003, 0.001):
            spread = [tpir(*part, fpir)[1] for part in parts]
            threshold, share = tpir(*whole, fpir)
            sys.stdout.write(
                f"{size:6} listed  FPIR {fpir:g}  threshold {threshold:.3f}  TPIR {share:.1%}  "
                f"({np.quantile(spread, 0.025):.1%} to {np.quantile(spread, 0.975):.1%})\n"
            )


if __name__ == "__main__":
    main()
