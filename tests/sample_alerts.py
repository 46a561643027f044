"""A candidate, its context and the alert of both, for tests of messages: `from tests.sample_alerts import …`."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import msgspec

from device.domain.finding import Candidate, Mode
from device.domain.time import WallTime, rfc3339, wall
from device.hub_api import alert_builder, messages

NOON = wall(datetime(2026, 11, 23, 12, 0, 0, tzinfo=timezone.utc))
ENGINE = messages.Engine(
    backend="openvino", detector="d", recogniser="r", detector_sha256="0" * 64, recogniser_sha256="1" * 64
)


def a_candidate(**changes: Any) -> Candidate:
    """A possible match of e-042."""
    fields: dict[str, Any] = {
        "passage": 7,
        "revision": 0,
        "entry_ref": "e-042",
        "score": 0.71,
        "threshold": 0.48,
        "margin": 0.23,
        "second_gap": 0.4,
        "faces_used": 3,
        "box_in_frame": (100.0, 50.0, 160.0, 120.0),
        "frame_size": (1280, 720),
        "inter_eye_px": 31.0,
        "yaw": -0.1,
        "quality": 0.8,
        "frame": 250,
        "media_ns": 10_000_000_000,
        "first_seen_ns": 9_400_000_000,
        "last_seen_ns": 10_000_000_000,
        "capture_to_decision_ms": 84.0,
    }
    return Candidate(**{**fields, **changes})


def a_context(at: WallTime = NOON, **changes: Any) -> alert_builder.AlertContext:
    """What cam-1 sends besides, at that moment."""
    fields: dict[str, Any] = {
        "site": "demo",
        "device_id": "cam-1",
        "camera_id": "front",
        "zone_id": "north-gate",
        "boot_id": "b-1",
        "deployment_id": "d-1",
        "mode": Mode.DEMO,
        "engine": ENGINE,
        "watchlist": alert_builder.ListFacts(watchlist_id="wl-1", sha256="a" * 64, subjects=1, predicted_far=None),
        "sign": messages.SignReading(state="lit", sensed_at=rfc3339(at)),
        "clock": messages.ClockReading(synced=True),
        "operator_session": None,
        "expires_s": 120.0,
        "delete_by": wall(at + timedelta(hours=24)),
    }
    return alert_builder.AlertContext(**{**fields, **changes})


def an_alert(
    alert_id: str,
    candidate: Candidate | None = None,
    context: alert_builder.AlertContext | None = None,
    at: WallTime = NOON,
) -> messages.Alert:
    """The first statement of an alert."""
    context = a_context(at) if context is None else context
    return alert_builder.alert_from(candidate or a_candidate(), context, alert_id=alert_id, seq=1, decided_at=at)


def changed(alert: messages.Alert, **changes: Any) -> messages.Alert:
    """The same alert with other fields."""
    return msgspec.structs.replace(alert, **changes)
