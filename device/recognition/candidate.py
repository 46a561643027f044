"""What crosses to the supervisor of a possible match: references, scores, times; no picture and no template."""

from __future__ import annotations

import time
from dataclasses import dataclass

from device.domain.finding import Candidate
from device.domain.sight import Frame
from device.domain.time import NS_PER_MS
from device.errors import InternalError
from device.vision.decision import Best
from device.vision.passages import Passage
from device.vision.quality import pose, quality_of


@dataclass(frozen=True, slots=True)
class ListedPerson:
    """What an alert may state of an entry beside its score; dates in ISO form.

    threshold_offset  what its category requires above the threshold
    """

    ref: str
    category: str | None = None
    image_source: str | None = None
    image_captured_on: str | None = None
    threshold_offset: float = 0.0


def candidate_of(
    passage: Passage, best: Best, person: ListedPerson, threshold: float, frame: Frame, rivals: tuple[int, ...]
) -> Candidate:
    """The candidate of a passage that was just weighed in `frame`.

    threshold  of the entry;  rivals  other passages with the same entry
    Raises InternalError where the passage has no best face: it was never compared.
    """
    face = passage.best_face
    if face is None:
        raise InternalError("a candidate of a passage that was never compared")
    turned = pose(face)
    return Candidate(
        passage=passage.id,
        revision=passage.revision,
        entry_ref=person.ref,
        category=person.category,
        image_source=person.image_source,
        image_captured_on=person.image_captured_on,
        score=best.score,
        threshold=threshold,
        margin=best.score - threshold,
        second_gap=best.score - best.second,
        faces_used=passage.templates,
        box_in_frame=(float(face.box[0]), float(face.box[1]), float(face.box[2]), float(face.box[3])),
        frame_size=passage.best_frame_size,
        inter_eye_px=turned.inter_eye_px,
        yaw=turned.yaw,
        quality=quality_of(passage.shot_quality),
        frame=frame.index,
        media_ns=frame.at,
        first_seen_ns=passage.first_seen,
        last_seen_ns=passage.last_seen,
        capture_to_decision_ms=(time.monotonic_ns() - frame.decoded) / NS_PER_MS,
        decoded_ns=frame.decoded,
        picture_damaged=passage.damaged,
        rivals=rivals,
    )
