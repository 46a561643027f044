"""Builders for the tests of messages and the outbox."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone

import pytest

from device.alerts import messages
from device.alerts.raising import AlertContext, ListFacts
from device.domain.finding import Candidate, Mode
from device.domain.time import WallTime, rfc3339, wall

NOON = wall(datetime(2026, 11, 23, 12, 0, 0, tzinfo=timezone.utc))


@pytest.fixture
def noon() -> WallTime:
    return NOON


@pytest.fixture
def candidate() -> Callable[..., Candidate]:
    def build(**changes: object) -> Candidate:
        fields: dict[str, object] = {
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

    return build


@pytest.fixture
def context() -> AlertContext:
    return AlertContext(
        site="demo",
        device_id="cam-1",
        camera_id="front",
        zone_id="north-gate",
        boot_id="b-1",
        deployment_id="demo-2026-11-23",
        mode=Mode.DEMO,
        engine=messages.Engine(
            backend="openvino", detector="d", recogniser="r", detector_sha256="0" * 64, recogniser_sha256="1" * 64
        ),
        watchlist=ListFacts(watchlist_id="wl-1", sha256="a" * 64, subjects=1, predicted_far=None),
        sign=messages.SignReading(state="simulated", sensed_at=rfc3339(NOON)),
        clock=messages.ClockReading(synced=True),
        operator_session="s-1",
        expires_s=120.0,
        delete_by=wall(NOON + timedelta(hours=24)),
    )
