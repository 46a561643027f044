"""Alerts, their identifiers, topics and envelopes."""

from __future__ import annotations

import dataclasses
import json
import uuid
from collections.abc import Callable
from datetime import timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from device.domain.finding import Candidate
from device.domain.time import MonotonicNs, WallTime, rfc3339, wall
from device.errors import BadData, UsageError
from device.hub_api import alert_builder, messages
from device.hub_api.alert_builder import AlertContext
from device.hub_api.events import decode, encode, restamp
from device.hub_api.identifiers import uuid7
from device.hub_api.topics import DeviceTopics, HubTopics, Place, device_id, level, parse

Build = Callable[..., Candidate]


def encoded(alert: messages.Alert, at: WallTime) -> bytes:
    return encode(alert, event_id="e-1", source="lfr/v1/demo/cam-1", subject=alert.alert_id, at=at)


def test_a_uuid7_has_its_version_variant_and_time(noon: WallTime) -> None:
    made = uuid.UUID(uuid7(noon, b"\xff" * 10))
    assert (made.version, made.variant) == (7, uuid.RFC_4122)
    assert made.int >> 80 == int(noon.timestamp() * 1000)


@given(st.integers(0, 10**6), st.integers(1, 10**6))
def test_later_uuid7s_sort_later(start: int, step: int) -> None:
    base = wall(messages.moment("2026-11-23T12:00:00.000Z"))
    earlier, later = (wall(base + timedelta(milliseconds=ms)) for ms in (start, start + step))
    assert uuid7(earlier) < uuid7(later)


@given(st.text(max_size=70))
def test_no_id_can_smuggle_a_wildcard_or_another_level(text: str) -> None:
    try:
        accepted = level(text)
    except UsageError:
        return
    assert not set(accepted) & set("+#/\x00 ")


def test_a_device_cannot_be_called_hub() -> None:
    with pytest.raises(UsageError, match="reserved"):
        device_id("hub")


def test_every_topic_parses_to_its_branch_and_subject() -> None:
    device, hub = DeviceTopics("s", "cam-1"), HubTopics("s")
    found = {t: parse(t) for t in (device.alert("a"), device.probe("a"), device.camera_status("c"), device.state)}
    assert [(p.branch, p.subject) for p in found.values() if p] == [
        ("alert", "a"),
        ("alert/probe", "a"),
        ("camera/status", "c"),
        ("state", None),
    ]
    assert parse(hub.adjudication("d", "a")) == Place("s", "hub", "alert/adjudication", "a", "d")
    assert parse("somebody/else") is None


def test_a_revision_keeps_the_id_and_has_the_status_updated(
    candidate: Build, context: AlertContext, noon: WallTime
) -> None:
    first = alert_builder.alert_from(candidate(), context, alert_id="a-1", seq=1, decided_at=noon)
    second = alert_builder.alert_from(candidate(revision=1, score=0.8), context, alert_id="a-1", seq=1, decided_at=noon)
    assert (first.state, second.state, second.alert_id, second.revision) == ("open", "updated", "a-1", 1)
    assert alert_builder.with_probe(second, "b" * 64).revision == 2


def test_an_alert_is_a_caution_and_dates_its_capture_before_its_decision(
    candidate: Build, context: AlertContext, noon: WallTime
) -> None:
    alert = alert_builder.alert_from(candidate(), context, alert_id="a-1", seq=1, decided_at=noon)
    assert alert.caution == "possible_match_requires_human_adjudication"
    assert alert.captured_at == rfc3339(wall(noon - timedelta(milliseconds=84)))
    assert alert.probe.ref == "lfr/v1/demo/cam-1/alert/a-1/probe"
    assert json.loads(encoded(alert, noon))["data"]["sig"] is None


def test_an_alerts_latency_counts_from_the_decoder_and_not_from_the_decision(
    candidate: Build, context: AlertContext, noon: WallTime
) -> None:
    seen = candidate(capture_to_decision_ms=84.0, decoded_ns=5_000_000_000)
    alert = alert_builder.alert_from(
        seen, context, alert_id="a", seq=1, decided_at=noon, monotonic=MonotonicNs(5_250_000_000)
    )
    assert (alert.latency_ms, alert.captured_at) == (250.0, rfc3339(wall(noon - timedelta(milliseconds=250))))
    sent = decode(restamp(encoded(alert, noon), wall(noon + timedelta(milliseconds=50)), 10.0)).data
    assert isinstance(sent, messages.Alert)
    assert sent.latency_ms == pytest.approx(300.0)


@pytest.mark.parametrize("decoded_ns", [0, 9_000_000_000])
def test_a_time_of_delivery_that_is_unknown_or_in_the_future_is_not_used(
    candidate: Build, context: AlertContext, noon: WallTime, decoded_ns: int
) -> None:
    seen = candidate(decoded_ns=decoded_ns)
    alert = alert_builder.alert_from(
        seen, context, alert_id="a", seq=1, decided_at=noon, monotonic=MonotonicNs(5_000_000_000)
    )
    assert alert.latency_ms == 84.0


def test_an_alert_has_category_source_age_and_response_of_its_own_entry(
    candidate: Build, context: AlertContext, noon: WallTime
) -> None:
    knowing = dataclasses.replace(context, response_codes={"missing": "R3", "warrant": "R1"})
    listed = candidate(category="warrant", image_source="custody", image_captured_on="2026-11-20")
    candidate_data = alert_builder.alert_from(listed, knowing, alert_id="a", seq=1, decided_at=noon).candidate
    assert (
        candidate_data.category,
        candidate_data.image_source,
        candidate_data.image_age_days,
        candidate_data.response_code,
    ) == (
        "warrant",
        "custody",
        3,
        "R1",
    )


@pytest.mark.parametrize("category", [None, "unheard-of"])
def test_a_category_that_the_deployment_does_not_know_has_no_response_code(
    candidate: Build, context: AlertContext, noon: WallTime, category: str | None
) -> None:
    knowing = dataclasses.replace(context, response_codes={"missing": "R3"})
    candidate_data = alert_builder.alert_from(
        candidate(category=category), knowing, alert_id="a", seq=1, decided_at=noon
    ).candidate
    assert (candidate_data.category, candidate_data.response_code, candidate_data.image_age_days) == (
        category,
        None,
        None,
    )


@pytest.mark.parametrize(
    ("captured_on", "days"),
    [("2026-11-23", 0), ("2025-11-23", 365), ("2026-11-24", None), ("soon", None), (None, None)],
)
def test_the_age_of_a_photo_is_whole_days_or_unknown(captured_on: str | None, days: int | None, noon: WallTime) -> None:
    assert alert_builder.image_age_days(captured_on, noon) == days


def test_a_list_of_one_has_no_gap_to_the_second(candidate: Build, context: AlertContext, noon: WallTime) -> None:
    alert = alert_builder.alert_from(candidate(second_gap=float("inf")), context, alert_id="a", seq=1, decided_at=noon)
    assert alert.second_best_gap is None
    assert decode(encoded(alert, noon)).data == alert


def test_retention_never_exceeds_the_ceiling(noon: WallTime) -> None:
    end = wall(noon + timedelta(hours=8))
    assert alert_builder.delete_by(end, 24, noon) == end + timedelta(hours=24)
    assert alert_builder.delete_by(end, 24 * 90, noon) == noon + timedelta(days=31)


def test_an_alert_that_waited_is_history_when_it_is_sent(
    candidate: Build, context: AlertContext, noon: WallTime
) -> None:
    alert = alert_builder.alert_from(candidate(), context, alert_id="a-1", seq=1, decided_at=noon)
    fresh = decode(restamp(encoded(alert, noon), wall(noon + timedelta(seconds=1)), 10.0)).data
    stale = decode(restamp(encoded(alert, noon), wall(noon + timedelta(seconds=60)), 10.0)).data
    assert isinstance(fresh, messages.Alert)
    assert isinstance(stale, messages.Alert)
    assert (fresh.historical, stale.historical) == (False, True)
    assert stale.latency_ms == pytest.approx(60_084)
    assert restamp(b"not an alert", noon, 10.0) == b"not an alert"


@pytest.mark.parametrize("claimed", [("present", False), ("simulated", True), ("absent", True)])
def test_a_hub_state_that_contradicts_itself_about_its_operator_is_refused(claimed: tuple[str, bool]) -> None:
    data = {
        "mode": "demo",
        "state": "online",
        "operator": claimed[0],
        "operator_present": claimed[1],
        "session_id": None,
    }
    with pytest.raises(msgspec.ValidationError, match="contradicts"):
        msgspec.convert({**data, "at": "2026-11-23T12:00:00.000Z"}, messages.HubState)


@pytest.mark.parametrize(
    "broken", [b"", b"{}", b"[]", b"\xff\xfe", b'{"type":"uk.lfr.unknown.v1"}', b'{"type":"uk.lfr.alert.v1"}']
)
def test_what_is_no_message_is_bad_data(broken: bytes) -> None:
    with pytest.raises(BadData):
        decode(broken)


@given(st.binary(max_size=200))
def test_no_bytes_make_the_decoder_fail_otherwise(noise: bytes) -> None:
    with pytest.raises(BadData):
        decode(noise)
