"""A device with a certificate of the site tries to touch the cases of another, and to lower its threshold."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from device.domain.finding import Mode
from device.errors import BadData
from device.evidence.artefact import read, shipped, trusted_keys
from device.hub_api import alert_builder, messages
from device.hub_api.events import decode, encode
from device.hub_api.identifiers import uuid7
from device.hub_api.topics import DeviceTopics, Place
from tests.sample_alerts import NOON, an_alert, changed
from tools.hub.console.alert_checks import AlertChecks
from tools.hub.console.desk import Desk
from tools.hub.console.threshold_check import SignedOperatingPoints
from tools.hub.report.tallies import Tallies
from tools.hub.storage.folder import ConsoleSettings
from tools.hub.storage.published import PublishedDeployment
from tools.hub.storage.sealed_desk import SealedDesk

JPEG = b"\xff\xd8\xff\xe0 a picture"
RECOGNISER = "sface-2021dec"


def say(desk: Desk, device: str, data: messages.Message) -> None:
    source = DeviceTopics("demo", device).base
    received = decode(encode(data, event_id=uuid7(NOON), source=source, subject="x", at=NOON))
    desk.take(Place("demo", device, "alert", "a-1"), received, NOON)


def test_another_devices_revision_probe_or_receipt_changes_nothing(
    desk: Desk, tallies: Tallies, settings: ConsoleSettings
) -> None:
    say(desk, "cam-1", an_alert("a-1"))
    desk.take_probe("cam-1", "a-1", JPEG, NOON)
    forged = changed(an_alert("a-1"), device_id="cam-2", revision=9, score=0.99)
    receipt = alert_builder.erasure_of("alert", count=1, alert_id="a-1", reason="false_alert", mode=Mode.DEMO, at=NOON)
    attempts: tuple[Callable[[], object], ...] = (
        lambda: say(desk, "cam-2", forged),
        lambda: say(desk, "cam-2", receipt),
        lambda: desk.take_probe("cam-2", "a-1", JPEG + b" of somebody else", NOON),
    )
    for attempt in attempts:
        with pytest.raises(BadData, match="an alert of cam-1"):
            attempt()
    assert desk.cases["a-1"].alert.revision == 0
    assert desk.pictures["a-1"].jpeg == JPEG
    say(desk, "cam-1", receipt)
    assert desk.cases == {}


def test_it_holds_after_a_restart_of_the_hub(settings: ConsoleSettings, tmp_path: Path) -> None:
    store = SealedDesk(tmp_path / "desk.sqlite")
    first = Desk(settings, Tallies(tmp_path / "r.json"), store)
    say(first, "cam-1", an_alert("a-1"))
    first.commit()
    second = Desk(settings, Tallies(tmp_path / "r.json"), store)
    with pytest.raises(BadData, match="an alert of cam-1"):
        say(second, "cam-2", changed(an_alert("a-1"), device_id="cam-2", revision=9))


def published(subjects: int, sha256: str, **offsets: float) -> PublishedDeployment:
    return PublishedDeployment(
        id="d-1",
        mode="demo",
        devices=frozenset({"cam-1"}),
        planned_end=NOON,
        alerts_until=None,
        ended_at=None,
        refs=None,
        watchlist_id="wl-1",
        subjects=subjects,
        recognisers=frozenset({sha256}),
        offsets=offsets,
    )


def real_engine() -> messages.Engine:
    """What a device with packaged models states."""
    artefact = read(shipped(RECOGNISER), trusted_keys())
    return messages.Engine(
        backend="openvino:bf16",
        detector=artefact.detector,
        recogniser=RECOGNISER,
        detector_sha256=artefact.detector_sha256,
        recogniser_sha256=artefact.recogniser_sha256,
    )


def problem(alert: messages.Alert, deployment: PublishedDeployment) -> str:
    checks = AlertChecks(Mode.DEMO, lambda: {"d-1": deployment})
    return checks.problem(Place("demo", "cam-1", "alert", "a-1"), alert, NOON, retained=False, known=False)


@pytest.mark.parametrize("below", [False, True])
def test_a_threshold_below_the_signed_operating_point_is_no_case(below: bool) -> None:
    engine = real_engine()
    lowest = SignedOperatingPoints().lowest(engine, 1822)
    assert lowest is not None
    assert 0.45 < lowest < 0.65
    threshold = lowest - 0.01 if below else lowest + 0.001
    alert = changed(an_alert("a-1"), engine=engine, threshold=threshold, score=0.9)
    found = problem(alert, published(1822, engine.recogniser_sha256))
    assert found == (f"an alert at threshold {threshold:.3f}, below the signed operating point" if below else "")


def test_a_shorter_list_may_have_a_lower_threshold_and_a_stricter_category_needs_a_higher_one() -> None:
    engine, points = real_engine(), SignedOperatingPoints()
    short, long = points.lowest(engine, 100), points.lowest(engine, 10_000)
    assert short is not None
    assert long is not None
    assert short < long
    alert = changed(an_alert("a-1"), engine=engine, threshold=short + 0.01, score=0.9)
    alert = changed(alert, candidate=msgspec.structs.replace(alert.candidate, category="missing"))
    assert problem(alert, published(100, engine.recogniser_sha256)) == ""
    assert "below the signed" in problem(alert, published(10_000, engine.recogniser_sha256))
    assert "below the signed" in problem(alert, published(100, engine.recogniser_sha256, missing=0.1))


def test_a_recogniser_that_the_list_was_not_signed_for_is_no_case() -> None:
    alert = changed(an_alert("a-1"), engine=real_engine(), threshold=0.6, score=0.9)
    assert "not signed for" in problem(alert, published(100, "f" * 64))
