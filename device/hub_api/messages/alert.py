"""The alert: a possible match, with everything that a person needs to judge it."""

from __future__ import annotations

from typing import ClassVar, Literal

import msgspec

from device.domain.finding import Mode
from device.hub_api.messages.base import Cosine, Count, Message, Sha256, Timestamp, Unit
from device.hub_api.messages.readings import ClockReading, Engine, SignReading

CAUTION: Literal["possible_match_requires_human_adjudication"] = "possible_match_requires_human_adjudication"


class Pose(msgspec.Struct, frozen=True, kw_only=True):
    """Head pose of the best shot. yaw: -1 (turned left) .. 1, by landmark geometry; pitch is not measured yet."""

    yaw: float
    pitch: float | None = None


class Track(msgspec.Struct, frozen=True, kw_only=True):
    """Which face: the passage, when it was seen (source time) and where the best shot lies in its frame, in pixels."""

    id: Count
    first_seen_ms: float
    last_seen_ms: float
    faces_used: Count
    bbox: tuple[float, float, float, float]
    frame_size: tuple[int, int]
    frame: Count
    media_ms: float
    pose: Pose
    inter_eye_px: float


class Quality(msgspec.Struct, frozen=True, kw_only=True):
    """`shot` is the tracker's 0..1 measure; `unified` (0..100, OFIQ) and `sharpness` are not measured yet."""

    shot: Unit
    unified: float | None = None
    sharpness: float | None = None


class ProbeReference(msgspec.Struct, frozen=True, kw_only=True):
    """The probe's topic and the SHA-256 of its ciphertext; null until the worker has sent it."""

    ref: str
    sha256: Sha256 | None
    quality: Quality


class CandidateReference(msgspec.Struct, frozen=True, kw_only=True):
    """Which entry of which list. The name is the hub's to know."""

    watchlist_id: str
    watchlist_sha256: str
    entry_ref: str
    category: str | None = None
    image_source: str | None = None
    image_age_days: Count | None = None
    response_code: str | None = None


class Retention(msgspec.Struct, frozen=True, kw_only=True, rename={"class_": "class"}):
    """Obligations of a receiver: delete by then, unless a hold with an owner and a reason is named."""

    class_: Literal["alert", "probe"]
    delete_by: Timestamp
    hold: str | None = None


class Contradiction(msgspec.Struct, frozen=True, kw_only=True):
    """Another alert that cannot be right if this one is, and a sentence for the operator."""

    alert_id: str
    camera_id: str
    text: Literal["same_entry_on_two_people_at_once_at_most_one_can_be_right"] = (
        "same_entry_on_two_people_at_once_at_most_one_can_be_right"
    )


class Alert(Message, frozen=True, kw_only=True):
    """A possible match. A person judges it before anything happens to anybody.

    picture_damaged  a picture that was compared had lost data on its way from the camera: the face may be falsified
    contradicted_by  alerts of other people for the same entry, who were in view at the same time: of these and this
                     one at most one can be right
    """

    TYPE: ClassVar[str] = "uk.lfr.alert.v1"
    mode: Mode
    alert_id: str
    revision: Count
    state: Literal["open", "updated", "closed"]
    deployment_id: str
    device_id: str
    camera_id: str
    zone_id: str
    boot_id: str
    seq: Count
    captured_at: Timestamp
    decided_at: Timestamp
    published_at: Timestamp
    latency_ms: float
    clock: ClockReading
    expires_at: Timestamp
    historical: bool
    track: Track
    probe: ProbeReference
    candidate: CandidateReference
    score: Cosine
    threshold: Cosine
    margin: float
    second_best_gap: float | None
    score_scale: str
    predicted_far: float | None
    list_size: Count
    engine: Engine
    sign: SignReading
    operator_session: str | None
    caution: Literal["possible_match_requires_human_adjudication"]
    retention: Retention
    blue_list: bool
    picture_damaged: bool = False
    contradicted_by: list[Contradiction] = msgspec.field(default_factory=list)
    prev_hash: str | None = None
    sig: str | None = None
