"""Checks of `lfr doctor` on evidence: whole, trusted, and of the configured engines."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from device.cli.doctor.finding import Finding
from device.domain.symptoms.names import Program
from device.domain.symptoms.table import remedy
from device.errors import EvidenceUnusable, LfrError

if TYPE_CHECKING:
    from device.config.model import Vision


def shipped_evidence() -> Iterator[Finding]:
    """Whether the evidence of the default recogniser carries a valid signature."""
    from device.evidence.artefact import read, shipped, trusted_keys
    from engines.cards.model_card import RECOGNISER_DEFAULT

    try:
        artefact = read(shipped(RECOGNISER_DEFAULT), trusted_keys())
    except EvidenceUnusable as fault:
        yield Finding("evidence", "fail", f"the shipped one: {fault}", remedy(Program.EVIDENCE_SHIPPED))
        return
    precisions = ", ".join(row.precision for row in artefact.precisions)
    most = min(row.largest_list for row in artefact.precisions)
    yield Finding("evidence", "ok", f"{artefact.id}: {precisions}; lists of up to {most:,} people")


def of_vision(vision: Vision) -> Iterator[Finding]:
    """Whether evidence covers the engines that a configuration names."""
    from device.enrolment.model_sessions import chosen_card, chosen_recognisers, resolved
    from device.recognition.operating_point import Terms, engine_of, evidence_for

    try:
        models = (
            chosen_card(vision.detector, "detector", vision.models_dir),
            chosen_recognisers(vision.recogniser, vision.screen, vision.models_dir),
        )
        terms = Terms(evidence=vision.evidence, keys=vision.evidence_keys)
        found = evidence_for(engine_of(*models, resolved(vision.backend)), terms)
        yield Finding("evidence for it", "ok", f"{found.name}: lists of up to {found.largest_list:,} people")
    except LfrError as fault:
        yield Finding("evidence for it", "fail", str(fault), remedy(Program.EVIDENCE_OF_CONFIGURATION))
