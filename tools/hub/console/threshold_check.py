"""The lowest threshold that the signed evidence allows for a list, as the hub knows it.

Evidence that ships with this program is signed (device/evidence). Of a device's own models the hub may have none: then
it knows no lowest threshold, and only that the officers signed the recogniser with the list.
"""

from __future__ import annotations

from device.domain.operating_point import LIMIT
from device.errors import EvidenceUnusable
from device.evidence.artefact import Engine as TestedEngine
from device.evidence.artefact import read, shipped, trusted_keys
from device.hub_api.messages import Engine

EMULATED = "-emulated"  # a precision computed by other means has the evidence of the precision
MOST_KEPT = 200
ROUNDING = 1e-4


class SignedOperatingPoints:
    """Looks each engine and length of list up once."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str, str, str, int], float | None] = {}

    def lowest(self, engine: Engine, subjects: int) -> float | None:
        """The operating point of a list of so many people with one photo each; None where no evidence is here.

        More photos an entry, and a category's offset, only raise it.
        """
        precision = engine.backend.partition(":")[2].removesuffix(EMULATED)
        key = (engine.recogniser, engine.recogniser_sha256, engine.detector_sha256, precision, subjects)
        if key not in self._known:
            if len(self._known) >= MOST_KEPT:
                self._known.clear()
            self._known[key] = _lowest(engine, precision, subjects)
        return self._known[key]


def _lowest(engine: Engine, precision: str, subjects: int) -> float | None:
    try:
        artefact = read(shipped(engine.recogniser), trusted_keys())
        tested = TestedEngine(
            engine.recogniser,
            engine.recogniser_sha256,
            precision,
            engine.detector,
            engine.detector_sha256,
            artefact.reader_version,
            artefact.decision_rule,
        )
        return artefact.evidence(tested).threshold_for((float(max(1, subjects)),), LIMIT) - ROUNDING
    except EvidenceUnusable:
        return None
