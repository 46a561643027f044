"""Builds alerts from candidates: one alert per passage, revised under the same id.

The source's clock (media time) says when the passage was seen; the wall clock says when it was decided. Both go in.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Literal

import msgspec

from device.domain.finding import Candidate, Counters, Mode
from device.domain.retention import CEILING_DAYS
from device.domain.time import NS_PER_MS, MonotonicNs, WallTime, rfc3339, wall
from device.hub_api import messages
from device.hub_api.messages import Alert
from device.hub_api.topics import DeviceTopics

Method = Literal["key_destroyed", "zeroed", "unlinked", "process_ended"]
SCORE_SCALE = "cosine of templates, combined over looks, -1..1"


@dataclass(frozen=True, slots=True, kw_only=True)
class ListFacts:
    """The loaded watchlist as the alert names it."""

    watchlist_id: str
    sha256: str
    subjects: int
    predicted_far: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertContext:
    """Everything about an alert that is not in its candidate, at the moment of the match decision.

    expires_s  how long the alert may lead to a stop; later it is historical
    delete_by  end of retention, see `delete_by`
    response_codes  category to response code, as the deployment authorises them
    """

    site: str
    device_id: str
    camera_id: str
    zone_id: str
    boot_id: str
    deployment_id: str
    mode: Mode
    engine: messages.Engine
    watchlist: ListFacts
    sign: messages.SignReading
    clock: messages.ClockReading
    operator_session: str | None
    expires_s: float
    delete_by: WallTime
    response_codes: Mapping[str, str] = field(default_factory=dict)
    blue_list: bool = False


def delete_by(deployment_end: WallTime, alert_hours: float, decided_at: WallTime) -> WallTime:
    """The latest time of erasure: hours after the deployment's end, never past the ceiling from now."""
    wanted = deployment_end + timedelta(hours=alert_hours)
    return wall(min(wanted, decided_at + timedelta(days=CEILING_DAYS)))


def age_of_frame_ms(candidate: Candidate, monotonic: MonotonicNs | None) -> float:
    """The age of the frame that decided, since the decoder delivered it; worker and link included.

    Without a delivery time before `monotonic`, the worker's own measurement: up to its match decision only.
    """
    if monotonic is not None and 0 < candidate.decoded_ns <= monotonic:
        return (monotonic - candidate.decoded_ns) / NS_PER_MS
    return candidate.capture_to_decision_ms


def image_age_days(captured_on: str | None, seen_at: WallTime) -> int | None:
    """Age of the listed photo when the person was seen, in whole days; None without a date that makes sense.

    captured_on  ISO date (YYYY-MM-DD); a day is UTC's, so the age may be off by one
    """
    try:
        age = None if captured_on is None else (seen_at.date() - date.fromisoformat(captured_on)).days
    except ValueError:
        return None
    return age if age is not None and age >= 0 else None


def alert_from(
    candidate: Candidate,
    context: AlertContext,
    *,
    alert_id: str,
    seq: int,
    decided_at: WallTime,
    monotonic: MonotonicNs | None = None,
) -> Alert:
    """The first revision of an alert, or (revision above 0) a later one under the same id.

    alert_id    `identifiers.uuid7` for revision 0, the passage's own id for every later revision
    seq         counts the alerts of this boot, so that a receiver sees gaps
    decided_at  when the supervisor got the candidate;  monotonic: the same moment on this host's CLOCK_MONOTONIC
    """
    topics = DeviceTopics(context.site, context.device_id)
    age_ms = age_of_frame_ms(candidate, monotonic)
    captured = wall(decided_at - timedelta(milliseconds=age_ms))
    return Alert(
        mode=context.mode,
        alert_id=alert_id,
        revision=candidate.revision,
        state="updated" if candidate.revision else "open",
        deployment_id=context.deployment_id,
        device_id=context.device_id,
        camera_id=context.camera_id,
        zone_id=context.zone_id,
        boot_id=context.boot_id,
        seq=seq,
        captured_at=rfc3339(captured),
        decided_at=rfc3339(decided_at),
        published_at=rfc3339(decided_at),
        latency_ms=round(age_ms, 1),
        clock=context.clock,
        expires_at=rfc3339(wall(decided_at + timedelta(seconds=context.expires_s))),
        historical=False,
        track=_track(candidate),
        probe=messages.ProbeReference(
            ref=topics.probe(alert_id),
            sha256=None,
            quality=messages.Quality(shot=min(1.0, max(0.0, candidate.quality))),
        ),
        candidate=_entry_of(candidate, context, captured),
        score=candidate.score,
        threshold=candidate.threshold,
        margin=candidate.margin,
        second_best_gap=candidate.second_gap if math.isfinite(candidate.second_gap) else None,
        score_scale=SCORE_SCALE,
        predicted_far=context.watchlist.predicted_far,
        list_size=context.watchlist.subjects,
        engine=context.engine,
        sign=context.sign,
        operator_session=context.operator_session,
        caution=messages.CAUTION,
        retention=messages.Retention(class_="alert", delete_by=rfc3339(context.delete_by)),
        blue_list=context.blue_list,
        picture_damaged=candidate.picture_damaged,
    )


def _entry_of(candidate: Candidate, context: AlertContext, captured: WallTime) -> messages.CandidateReference:
    """The matched entry, as far as a device may know it."""
    return messages.CandidateReference(
        watchlist_id=context.watchlist.watchlist_id,
        watchlist_sha256=context.watchlist.sha256,
        entry_ref=candidate.entry_ref,
        category=candidate.category,
        image_source=candidate.image_source,
        image_age_days=image_age_days(candidate.image_captured_on, captured),
        response_code=None if candidate.category is None else context.response_codes.get(candidate.category),
    )


def with_probe(alert: Alert, sha256: str) -> Alert:
    """The alert with the SHA-256 of its probe's ciphertext filled in, as a further revision."""
    probe = msgspec.structs.replace(alert.probe, sha256=sha256)
    return msgspec.structs.replace(alert, probe=probe, revision=alert.revision + 1, state="updated")


def stats_from(
    counters: Counters, *, mode: Mode | None, boot_id: str, fps: float, at: WallTime, deployment_id: str | None
) -> messages.Stats:
    """The counters as they are published; `compared` equals faces_seen by definition."""
    return messages.Stats(
        mode=mode,
        at=rfc3339(at),
        boot_id=boot_id,
        faces_seen=counters.faces_seen,
        tracks=counters.tracks,
        quality_rejects=counters.quality_rejects,
        compared=counters.faces_seen,
        discarded=counters.discarded,
        alerts=counters.alerted,
        templates=counters.templates,
        open_passages=counters.open_passages,
        frames=counters.frames,
        dropped_frames=counters.dropped_frames,
        damaged_frames=counters.damaged_frames,
        fps=round(fps, 2),
        histogram=list(counters.score_histogram),
        deployment_id=deployment_id,
    )


def erasure_of(
    what: Literal["alert", "probe", "watchlist", "template", "outbox"],
    *,
    count: int,
    alert_id: str | None,
    reason: messages.ErasureReason,
    mode: Mode | None,
    at: WallTime,
    process_died: bool = False,
    chain_hash: str | None = None,
) -> messages.Erasure:
    """The receipt of an erasure: encrypted rows of the outbox by their key, templates by the wipe of their worker.

    process_died  for templates: they could not be wiped any more
    chain_hash    hash of the audit row that records it
    """
    return messages.Erasure(
        mode=mode,
        what=what,
        count=count,
        alert_id=alert_id,
        reason=reason,
        at=rfc3339(at),
        method=method_of(what, process_died=process_died),
        chain_hash=chain_hash,
    )


def method_of(what: str, *, process_died: bool = False) -> Method:
    """The method of erasure for something of this kind."""
    if what == "template":
        return "process_ended" if process_died else "zeroed"
    return "unlinked" if what == "watchlist" else "key_destroyed"


def _track(candidate: Candidate) -> messages.Track:
    return messages.Track(
        id=candidate.passage,
        first_seen_ms=candidate.first_seen_ns / NS_PER_MS,
        last_seen_ms=candidate.last_seen_ns / NS_PER_MS,
        faces_used=candidate.faces_used,
        bbox=candidate.box_in_frame,
        frame_size=candidate.frame_size,
        frame=candidate.frame,
        media_ms=candidate.media_ns / NS_PER_MS,
        pose=messages.Pose(yaw=candidate.yaw),
        inter_eye_px=candidate.inter_eye_px,
    )
