"""Messages of a device about itself: session, birth certificate, state, health, cameras, watchlist, counts."""

from __future__ import annotations

from typing import ClassVar, Literal

import msgspec

from device.domain.camera_fault import CameraFault
from device.hub_api.messages.base import Count, Message, Sha256, Timestamp
from device.hub_api.messages.readings import (
    ClockReading,
    ConditionReading,
    Engine,
    LampReading,
    LiveViewReading,
    SignHealth,
)


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
    """Retained; the state, its reasons, and the sign."""

    TYPE: ClassVar[str] = "uk.lfr.state.v1"
    state: Literal["safe", "ready", "armed", "recognising", "inhibited", "ending"]
    since: Timestamp
    inhibit_reasons: list[str]
    conditions: list[ConditionReading] = msgspec.field(default_factory=list)
    lamps: LampReading | None = None
    deployment_id: str | None = None
    live_view: LiveViewReading | None = None


class Health(Message, frozen=True, kw_only=True):
    """Retained, every 5 s; None where this machine has no such reading. throttled: it has reduced its clock.

    rss_bytes: of all processes here, without what a GPU's driver counts;  gpu_free_bytes: left for all programs
    gpu_load: 0 to 1;  power_mode: as nvpmodel names it;  limited_by: what the board's supply did in the last 30 s
    over_current_events: since the machine started, by kind
    stage_p95_start_ms: each stage's p95 when this program started, once it is known;  slower_stages: 1.5 times that, or
    more, for 30 s
    certificates_end: when the first of its own certificate and the authority's ends;  certificates_not_renewed: why the
    last request for renewed ones failed
    """

    TYPE: ClassVar[str] = "uk.lfr.health.v1"
    at: Timestamp
    state: Literal["safe", "ready", "armed", "recognising", "inhibited", "ending"] | None = None
    fps: float | None = None
    temperature_c: dict[str, float] = msgspec.field(default_factory=dict)
    power_w: float | None = None
    disk_free_bytes: Count | None = None
    rss_bytes: Count | None = None
    gpu_free_bytes: Count | None = None
    outbox_waiting: Count | None = None
    clock: ClockReading | None = None
    stage_p95_ms: dict[str, float] = msgspec.field(default_factory=dict)
    stage_p95_start_ms: dict[str, float] = msgspec.field(default_factory=dict)
    slower_stages: list[str] = msgspec.field(default_factory=list)
    throttled: bool | None = None
    limited_by: list[str] | None = None
    over_current_events: dict[str, Count] | None = None
    gpu_load: float | None = None
    power_mode: str | None = None
    memory_available_bytes: Count | None = None
    memory_total_bytes: Count | None = None
    sign: SignHealth | None = None
    certificates_end: Timestamp | None = None
    certificates_not_renewed: str = ""


class CameraStatus(Message, frozen=True, kw_only=True):
    """Retained, one per camera. `ended` only for a recording.

    damaged  some of the last 250 pictures had lost data, or were predicted from one that had
    fault    what its worker finds wrong; a camera that is `online` has one that does not stop it
    text     what is wrong and what to do
    """

    TYPE: ClassVar[str] = "uk.lfr.camera-status.v1"
    camera_id: str
    status: Literal["online", "frozen", "dark", "offline", "disabled", "ended"]
    since: Timestamp
    damaged: bool = False
    fault: CameraFault | None = None
    text: str = ""


class WatchlistState(Message, frozen=True, kw_only=True):
    """Retained; which list is loaded, never who is on it. `erased_at` remains after its end.

    withdrawn  entries that every worker stopped searching for since the list was sealed
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
    probes_dropped: pictures of candidates that belong to no published alert; each was deleted at once, unsent.
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
    probes_dropped: Count = 0
