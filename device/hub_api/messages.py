"""What every message on the topic tree says: the `data` of each CloudEvents type.

1. No name, date of birth, offence, template, full frame or sub-threshold candidate: the hub looks up `entry_ref`.
2. Every payload carries its mode; None only while no deployment is loaded.
3. Fields whose substance comes later are present and null, so that receivers see them coming.
4. Times are RFC 3339, UTC, milliseconds. Durations carry their unit in the name.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import msgspec

from device.domain.finding import Mode
from device.domain.judgement import AdjudicationOutcome, DispositionOutcome, EngagementOutcome
from device.hub_api.audit_head import AuditHead as AuditHead
from device.hub_api.identity import Identity as Identity
from device.hub_api.message import Cosine as Cosine
from device.hub_api.message import Count as Count
from device.hub_api.message import Message as Message
from device.hub_api.message import Sha256 as Sha256
from device.hub_api.message import Timestamp as Timestamp
from device.hub_api.message import Unit as Unit
from device.hub_api.message import moment as moment
from device.hub_api.readings import ConditionReading as ConditionReading
from device.hub_api.readings import LampReading as LampReading
from device.hub_api.readings import SignHealth as SignHealth

CAUTION: Literal["possible_match_requires_human_adjudication"] = "possible_match_requires_human_adjudication"

# ---- an alert ----


class ClockReading(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the wall clock could be trusted at that moment, and its offset from the reference if known."""

    synced: bool
    offset_ms: float | None = None


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
    """Where the probe travels and the SHA-256 of its ciphertext; null until the worker has sent it."""

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


class Engine(msgspec.Struct, frozen=True, kw_only=True):
    """What recognised, to tie the score to an independent test of the same models."""

    backend: str
    detector: str
    recogniser: str
    detector_sha256: str
    recogniser_sha256: str
    engine_sha256: str | None = None
    trt: str | None = None
    policy_id: str | None = None


class SignReading(msgspec.Struct, frozen=True, kw_only=True):
    """Proof that the public was told at that moment: the sensed sign, not the driven one."""

    state: Literal["lit", "dark", "simulated", "unknown"]
    sensed_at: Timestamp | None


class Retention(msgspec.Struct, frozen=True, kw_only=True, rename={"class_": "class"}):
    """What a receiver must honour: delete by then, unless a hold with an owner and a reason is named."""

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


# ---- what people decide: hub to device ----


class Reason(msgspec.Struct, frozen=True, kw_only=True):
    """One factor of a judgement."""

    factor: Literal["subject", "system", "environment"]
    text: Annotated[str, msgspec.Meta(max_length=200)]


class Adjudication(Message, frozen=True, kw_only=True):
    """A person's judgement of an alert. On `false_alert` every holder deletes record and probe at once."""

    TYPE: ClassVar[str] = "uk.lfr.adjudication.v1"
    alert_id: str
    outcome: AdjudicationOutcome
    officer_ref: str
    at: Timestamp
    reasons: list[Reason] = msgspec.field(default_factory=list)


class Engagement(Message, frozen=True, kw_only=True):
    """What came of speaking to the person."""

    TYPE: ClassVar[str] = "uk.lfr.engagement.v1"
    alert_id: str
    outcome: EngagementOutcome
    officer_ref: str
    at: Timestamp


class Disposition(Message, frozen=True, kw_only=True):
    """How it ended."""

    TYPE: ClassVar[str] = "uk.lfr.disposition.v1"
    alert_id: str
    outcome: DispositionOutcome
    officer_ref: str
    at: Timestamp


Operator = Literal["present", "simulated", "absent"]


class HubState(Message, frozen=True, kw_only=True):
    """Whether an operator is there to judge; the will says offline. A device without this recognises nobody.

    operator  `simulated`: the hub was told to vouch for one, which counts for recordings outside operational mode only
    operator_present  a person is there: the same as operator `present`, for receivers that know no more
    """

    TYPE: ClassVar[str] = "uk.lfr.hub-state.v1"
    state: Literal["online", "offline"]
    operator: Operator
    operator_present: bool
    session_id: str | None
    at: Timestamp

    def __post_init__(self) -> None:
        if self.operator_present != (self.operator == "present"):
            raise ValueError(f"operator_present {self.operator_present} contradicts operator {self.operator!r}")


# ---- what a device says of itself ----


ErasureReason = Literal[
    "no_match",
    "false_alert",
    "expiry",
    "end_of_deployment",
    "end_of_hold",
    "retention",
    "room",
    "tamper",
    "withdrawn",
]


class Erasure(Message, frozen=True, kw_only=True):
    """Receipt of a deletion; every deletion leaves one. `method` says how, `chain_hash` ties it to the audit log.

    process_ended: nobody wiped it, its process died and the kernel took the memory back.
    """

    TYPE: ClassVar[str] = "uk.lfr.erasure.v1"
    what: Literal["alert", "probe", "watchlist", "template", "outbox"]
    count: Count
    alert_id: str | None
    reason: ErasureReason
    at: Timestamp
    method: Literal["key_destroyed", "zeroed", "unlinked", "process_ended"]
    chain_hash: str | None = None


class Status(Message, frozen=True, kw_only=True):
    """Retained; `offline` is the will, `stopped` a clean end. bd_seq counts the births of this boot."""

    TYPE: ClassVar[str] = "uk.lfr.status.v1"
    status: Literal["online", "offline", "stopped"]
    boot_id: str
    bd_seq: Count


class Birth(Message, frozen=True, kw_only=True):
    """Retained; what runs here, sent on every connect."""

    TYPE: ClassVar[str] = "uk.lfr.birth.v1"
    device_id: str
    boot_id: str
    bd_seq: Count
    software_version: str
    cameras: list[str]
    engine: Engine | None
    schemas: list[str]
    policy_id: str | None = None
    threshold: float | None = None
    threshold_source: str | None = None
    audit_key: Sha256 | None = None
    """Public half of the device's signing key (Ed25519), 32 bytes in hexadecimal."""


class DeviceState(Message, frozen=True, kw_only=True):
    """Retained; the one state, why it is so, and what the public sees."""

    TYPE: ClassVar[str] = "uk.lfr.state.v1"
    state: Literal["safe", "ready", "armed", "recognising", "inhibited", "ending"]
    since: Timestamp
    inhibit_reasons: list[str]
    conditions: list[ConditionReading] = msgspec.field(default_factory=list)
    lamps: LampReading | None = None
    deployment_id: str | None = None


class Health(Message, frozen=True, kw_only=True):
    """Retained, every 10 s; None where this machine has no such sensor. throttled: it slows itself down, being hot.

    rss_bytes: of all processes here, without what a GPU's driver counts;  gpu_free_bytes: left for all programs
    """

    TYPE: ClassVar[str] = "uk.lfr.health.v1"
    at: Timestamp
    fps: float | None = None
    temperature_c: dict[str, float] = msgspec.field(default_factory=dict)
    power_w: float | None = None
    disk_free_bytes: Count | None = None
    rss_bytes: Count | None = None
    gpu_free_bytes: Count | None = None
    outbox_waiting: Count | None = None
    clock: ClockReading | None = None
    stage_p95_ms: dict[str, float] = msgspec.field(default_factory=dict)
    throttled: bool | None = None
    sign: SignHealth | None = None


class CameraStatus(Message, frozen=True, kw_only=True):
    """Retained, one per camera. `ended` only for a recording.

    damaged  some of the last 250 pictures had lost data, or were predicted from one that had
    """

    TYPE: ClassVar[str] = "uk.lfr.camera-status.v1"
    camera_id: str
    status: Literal["online", "frozen", "dark", "offline", "disabled", "ended"]
    since: Timestamp
    damaged: bool = False


class WatchlistState(Message, frozen=True, kw_only=True):
    """Retained; which list is loaded, never who is on it. `erased_at` remains after its end.

    withdrawn  entries that every worker has ceased to look for since the list was sealed
    """

    TYPE: ClassVar[str] = "uk.lfr.watchlist-state.v1"
    watchlist_id: str | None
    sha256: str | None
    subjects: Count
    images: Count
    withdrawn: Count = 0
    valid_from: Timestamp | None = None
    valid_to: Timestamp | None = None
    erased_at: Timestamp | None = None


class Stats(Message, frozen=True, kw_only=True):
    """Totals since boot, people counted as passages. `histogram`: best score of each closed one, 20 bins over -1..1.

    faces_seen = discarded + lost + alerts + open_passages. `lost`: their worker died, and its memory with it.
    damaged_frames: pictures of which data was lost between camera and decoder.
    sign_dark_ms: while somebody could be recognised. sign_stops: how often the sign ended recognition.
    """

    TYPE: ClassVar[str] = "uk.lfr.stats.v1"
    at: Timestamp
    boot_id: str
    faces_seen: Count
    tracks: Count
    quality_rejects: Count
    compared: Count
    discarded: Count
    alerts: Count
    templates: Count
    open_passages: Count
    frames: Count
    dropped_frames: Count
    fps: float
    histogram: list[Count]
    deployment_id: str | None = None
    lost: Count = 0
    sign_dark_ms: Count = 0
    sign_stops: Count = 0
    sign_pulses: Count = 0
    sign_pulses_failed: Count = 0
    damaged_frames: Count = 0


MESSAGES: tuple[type[Message], ...] = (
    Alert,
    Adjudication,
    Engagement,
    Disposition,
    HubState,
    Erasure,
    Status,
    Birth,
    DeviceState,
    Health,
    CameraStatus,
    WatchlistState,
    Stats,
    Identity,
    AuditHead,
)
