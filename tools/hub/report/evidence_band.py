"""The band in which the signed evidence expects the true recognition rate for a list of a size."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from device.errors import EvidenceUnusable
from device.evidence.artefact import FOLDER, TRUSTED_FILE, Artefact, read, trusted_keys


@lru_cache(maxsize=64)
def evidence_band(recognisers: frozenset[str], subjects: int) -> tuple[float, float] | None:
    """Lowest and highest share of listed people found, over the precisions that were measured; None without evidence.

    From the 95 % interval of one look to the estimate of several looks, in the first line of the table that is as long
    as the list. It was measured on portraits, not on a street (the artefact's limits).
    """
    rows = [row for artefact in _artefacts(recognisers) for row in _rows(artefact, subjects)]
    return (min(low for low, _ in rows), max(high for _, high in rows)) if rows else None


def _artefacts(recognisers: frozenset[str]) -> Iterable[Artefact]:
    for file in sorted(FOLDER.glob("*.json")):
        if file == TRUSTED_FILE:
            continue
        try:
            artefact = read(file, trusted_keys())
        except EvidenceUnusable:
            continue
        if artefact.recogniser_sha256 in recognisers:
            yield artefact


def _rows(artefact: Artefact, subjects: int) -> Iterable[tuple[float, float]]:
    for precision in artefact.precisions:
        row = next((row for row in precision.table if row.subjects >= subjects), precision.table[-1])
        yield row.found_low, max(row.found_high, row.found_fused or 0.0)
