"""The operating point of one worker or one replay: evidence, engine and list in; threshold, prediction and text out.

1. With evidence for this engine (recogniser, detector, alignment, precision), the threshold is the smallest whose bound
   on false alerts meets the limit for this list (device/domain/operating_point.py), unless one was given.
2. `problem` says why the device must not arm: no evidence, a longer list than it covers, a given threshold outside the
   tested band or over the limit. A worker with a live camera obeys it; a replay only reports it.
3. Without evidence the rates are unknown. A replay then takes the provisional threshold: LFW, one photo enrolled, FPIR
   0.1 %, .458 at 100 people, .494 at 500, .516 at 1,822, .540 at 4,000 (measured 2026-11-22, YuNet and SFace), in
   between linear in the logarithm of the list's size, outside the nearer end.
4. Shipped evidence whose signature does not match is EvidenceDamaged: a replay does not go on with a changed
   installation.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from device.domain.decision_rule import DECISION_RULE
from device.domain.operating_point import LIMIT, Evidence, counted, per_thousand
from device.domain.recognisers import Recognisers
from device.enrolment.engine_photo_reader import READER_VERSION
from device.errors import EvidenceDamaged, EvidenceUnusable
from device.evidence.artefact import Engine, read, shipped, trusted_keys
from engines.cards.model_card import ModelCard

EMULATED = "-emulated"
"""Suffix of a precision that is computed by other means; its evidence is that of the precision."""
_POINTS = ((100, 0.458), (500, 0.494), (1822, 0.516), (4000, 0.540))
_PROVISIONAL = "provisional: LFW, FPIR 0.1 %, interpolated in log list size"


@dataclass(frozen=True, slots=True)
class Terms:
    """The configuration's terms; every field may be left out.

    threshold  instead of the computed one, inside the tested band only
    evidence   an artefact instead of the shipped one;  keys  a folder of public keys that may have signed it
    limit      false alerts a face
    """

    threshold: float | None = None
    evidence: Path | None = None
    keys: Path | None = None
    limit: float = LIMIT


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """predicted, bound: false alerts a face for this list, None without evidence;  problem: rule 2, or empty."""

    threshold: float
    source: str
    predicted: float | None
    bound: float | None
    problem: str


def engine_of(detector: ModelCard, recogniser: ModelCard | Recognisers, backend: str) -> Engine:
    """The identity of the engine that makes templates with these models on a backend, written `name:precision`.

    It is the same for both front ends (device/vision/face_front_end.py): strangers' scores were measured alike with
    probes of either and lists of the photo reader (calibration/README.md).
    """
    return Engine(
        recogniser.name,
        recogniser.source_sha256,
        backend.partition(":")[2].removesuffix(EMULATED),
        detector.name,
        detector.source_sha256,
        READER_VERSION,
        DECISION_RULE,
    )


def evidence_for(engine: Engine, terms: Terms) -> Evidence:
    """The evidence for an engine, from the artefact that `terms` names or the shipped one.

    Raises EvidenceUnusable; EvidenceDamaged for the shipped one (rule 4).
    """
    keys = trusted_keys(terms.keys)
    if terms.evidence is not None:
        return read(terms.evidence, keys).evidence(engine)
    path = shipped(engine.recogniser)
    try:
        artefact = read(path, keys)
    except EvidenceUnusable as fault:
        raise EvidenceDamaged(f"the shipped evidence is damaged: {fault}; install the program again") from fault
    return artefact.evidence(engine)


def known_evidence(engine: Engine, terms: Terms) -> Evidence | EvidenceUnusable:
    """The evidence for an engine, or why there is none."""
    try:
        return evidence_for(engine, terms)
    except EvidenceUnusable as fault:
        return fault


def operating_point(photos: Sequence[int], evidence: Evidence | EvidenceUnusable, terms: Terms) -> OperatingPoint:
    """For a list whose entries have `photos` photos each, with what `known_evidence` found."""
    if isinstance(evidence, EvidenceUnusable):
        given = terms.threshold
        source = "configured" if given is not None else f"{_PROVISIONAL}; no evidence"
        return OperatingPoint(provisional(len(photos)) if given is None else given, source, None, None, str(evidence))
    listed, beyond = counted(photos, evidence.most_photos)
    threshold = evidence.threshold_for(listed, terms.limit) if terms.threshold is None else terms.threshold
    prediction = evidence.predict(threshold, listed)
    problem = evidence.objection(threshold, listed, terms.limit)
    if beyond and not problem:
        problem = f"{beyond} entries have more than {evidence.most_photos} photos, which were not tested: keep the best"
    words = "configured, assessed with" if terms.threshold is not None else "evidence"
    source = (
        f"{words} {evidence.name}: for {len(photos)} listed {per_thousand(prediction.rate)} false alerts "
        f"in 1,000 faces predicted, at most {per_thousand(prediction.bound)}"
    )
    return OperatingPoint(threshold, source, prediction.rate, prediction.bound, problem)


def provisional(subjects: int) -> float:
    """Threshold (cosine) for a list of `subjects` people without evidence (rule 3)."""
    if subjects <= _POINTS[0][0]:
        return _POINTS[0][1]
    for (n0, t0), (n1, t1) in itertools.pairwise(_POINTS):
        if subjects <= n1:
            share = (math.log(subjects) - math.log(n0)) / (math.log(n1) - math.log(n0))
            return t0 + share * (t1 - t0)
    return _POINTS[-1][1]
