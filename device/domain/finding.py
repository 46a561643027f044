"""Right of the bar: the supervisor's data. Opaque references, scores, times, counts; no pixels or templates."""

from __future__ import annotations

from enum import Enum
from typing import Annotated

import msgspec

BINS = 20
MOST_RIVALS = 64
Reference = Annotated[str, msgspec.Meta(pattern=r"\A[A-Za-z0-9][A-Za-z0-9._:-]{0,63}\Z", max_length=64)]
"""An opaque reference: of an entry, a volunteer, a list (device/hub_api/topics.py has the same alphabet)."""
IsoDate = Annotated[str, msgspec.Meta(pattern=r"\A[0-9]{4}-[0-9]{2}-[0-9]{2}\Z", max_length=10)]


class Mode(str, Enum):
    """Mode of a deployment; decided by the root of trust that signed, never by a flag."""

    OPERATIONAL = "operational"
    TEST = "test"
    DEMO = "demo"


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """A passage whose evidence reached the threshold: a possible match, for a person to judge.

    passage, revision  which passage, and the revision number (0 first; later ones carry a better probe)
    entry_ref          opaque watchlist entry;  category, image_source, image_captured_on (ISO date): as listed
    score              cosine of the passage's templates and the entry, combined over looks (vision/decision.py), -1..1
    margin             score minus threshold;  second_gap: score minus the best other entry's (infinite
                       when the list has no other)
    faces_used         templates fused so far
    box_in_frame       left, top, right, bottom of the best shot, pixels of a frame of frame_size (width, height)
    quality            0..1, the best shot's
    rivals             other passages that raised the same entry and were in view at the same time: two people, so
                       that of their alerts at most one can be right
    picture_damaged    a picture that was compared, or the best shot's, had lost data on its way from the camera
    frame, media_ns    0-based frame index and presentation time at which this was decided
    decoded_ns         when the decoder delivered that frame, CLOCK_MONOTONIC of this host
    capture_to_decision_ms  from then to the match decision
    """

    passage: int
    revision: int
    entry_ref: Reference
    category: str | None = None
    image_source: str | None = None
    image_captured_on: IsoDate | None = None
    score: float
    threshold: float
    margin: float
    second_gap: float
    faces_used: int
    box_in_frame: tuple[float, float, float, float]
    frame_size: tuple[int, int]
    inter_eye_px: float
    yaw: float
    quality: float
    frame: int
    media_ns: int
    first_seen_ns: int
    last_seen_ns: int
    capture_to_decision_ms: float
    decoded_ns: int = 0
    picture_damaged: bool = False
    rivals: Annotated[tuple[int, ...], msgspec.Meta(max_length=MOST_RIVALS)] = ()


class VolunteerFinding(msgspec.Struct, frozen=True, kw_only=True):
    """A passage that reached the threshold for a volunteer of the blue list: no alert, and not judged by anybody.

    ref         opaque reference on the blue list;  score: cosine;  threshold: the watchlist's
    decoded_ns  when the decoder delivered the frame, CLOCK_MONOTONIC of this host
    """

    ref: Reference
    score: float
    threshold: float
    decoded_ns: int


class Counters(msgspec.Struct, kw_only=True):
    """Totals since the worker started; people are counted as passages.

    faces_seen = passages that passed the quality gate and were compared (the denominator that is published).
    discarded  = faces_seen whose buffers were wiped without an alert; alerted = faces_seen that raised one.
    At rest faces_seen = discarded + alerted; in motion the difference is open_passages: compared, in view, not alerted.
    """

    frames: int = 0
    detections: int = 0
    tracks: int = 0
    quality_rejects: int = 0
    faces_seen: int = 0
    templates: int = 0
    discarded: int = 0
    alerted: int = 0
    open_passages: int = 0
    dropped_frames: int = 0
    damaged_frames: int = 0
    score_histogram: Annotated[list[int], msgspec.Meta(min_length=BINS, max_length=BINS)] = msgspec.field(
        default_factory=lambda: [0] * BINS
    )
    """Best score of each closed passage, 20 equal bins over -1..1; no identity attached."""
