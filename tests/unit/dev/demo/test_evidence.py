"""The verdict names exactly the promise that was broken."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from device.domain.finding import Mode
from device.hub_api import messages
from device.hub_api.messages import Alert, Erasure, Stats, WatchlistState
from tools.dev.demo.evidence import Evidence, ProbeReceived, TruePassage, verdict

AT = "2026-11-23T10:00:00.000Z"
ENTRY = "e-1"


def alert(alert_id: str, media_ms: float, revision: int = 0, entry: str = ENTRY) -> Alert:
    return Alert(
        mode=Mode.DEMO,
        alert_id=alert_id,
        revision=revision,
        state="open",
        deployment_id="d",
        device_id="cam-1",
        camera_id="front",
        zone_id="gate",
        boot_id="b",
        seq=1,
        captured_at=AT,
        decided_at=AT,
        published_at=AT,
        latency_ms=40.0,
        clock=messages.ClockReading(synced=True),
        expires_at=AT,
        historical=False,
        track=messages.Track(
            id=1,
            first_seen_ms=media_ms - 200,
            last_seen_ms=media_ms,
            faces_used=2,
            bbox=(0.0, 0.0, 80.0, 80.0),
            frame_size=(1280, 720),
            frame=3,
            media_ms=media_ms,
            pose=messages.Pose(yaw=0.0),
            inter_eye_px=30.0,
        ),
        probe=messages.ProbeReference(ref="r", sha256=None, quality=messages.Quality(shot=0.8)),
        candidate=messages.CandidateReference(watchlist_id="wl", watchlist_sha256="0" * 64, entry_ref=entry),
        score=0.7,
        threshold=0.5,
        margin=0.2,
        second_best_gap=None,
        score_scale="cosine",
        predicted_far=None,
        list_size=1,
        engine=messages.Engine(
            backend="x", detector="d", recogniser="r", detector_sha256="0" * 64, recogniser_sha256="0" * 64
        ),
        sign=messages.SignReading(state="simulated", sensed_at=AT),
        operator_session=None,
        caution=messages.CAUTION,
        retention=messages.Retention(class_="alert", delete_by=AT),
        blue_list=False,
    )


def stats(faces_seen: int = 60, discarded: int = 58, alerts: int = 2) -> Stats:
    return Stats(
        mode=Mode.DEMO,
        at=AT,
        boot_id="b",
        faces_seen=faces_seen,
        tracks=70,
        quality_rejects=10,
        compared=faces_seen,
        discarded=discarded,
        alerts=alerts,
        templates=120,
        open_passages=0,
        frames=750,
        dropped_frames=0,
        fps=100.0,
        histogram=[0] * 20,
    )


def receipt(what: str = "watchlist") -> Erasure:
    kinds = {"what": what, "reason": "end_of_deployment", "method": "key_destroyed"}
    return msgspec.convert({"mode": "demo", "count": 1, "alert_id": None, "at": AT, **kinds}, Erasure)


def watchlist(erased_at: str | None = None) -> WatchlistState:
    loaded = erased_at is None
    return WatchlistState(
        mode=Mode.DEMO,
        watchlist_id="wl" if loaded else None,
        sha256=None,
        subjects=int(loaded),
        images=int(loaded),
        erased_at=erased_at,
    )


def good() -> Evidence:
    """A demo in which everything went as promised."""
    return Evidence(
        listed_entry=ENTRY,
        truth=(TruePassage(4000, 8000), TruePassage(18000, 24000)),
        alerts={"a": [alert("a", 5000), alert("a", 6000, revision=1)], "b": [alert("b", 20000)]},
        probes=[ProbeReceived("a", True, False), ProbeReceived("b", True, False)],
        stats=stats(),
        erasures=[receipt()],
        states=["ready", "armed", "recognising", "ending", "ready"],
        watchlists=[watchlist(), watchlist(erased_at=AT)],
        statuses={"device": 0, "hub": 0, "broker": 0},
        keys_left=[],
        audit=(True, "12 rows"),
    )


def failed(evidence: Evidence) -> list[str]:
    return [check.name for check in verdict(evidence) if not check.holds]


def test_a_good_demo_passes_every_check() -> None:
    assert failed(good()) == []


def test_a_missed_passage_fails() -> None:
    evidence = good()
    del evidence.alerts["b"]
    evidence.probes = evidence.probes[:1]
    evidence.stats = stats(discarded=59, alerts=1)
    assert failed(evidence) == ["listed person alerted at the hub, each passage once"]


def test_two_alerts_for_one_passage_fail() -> None:
    evidence = good()
    evidence.alerts["c"] = [alert("c", 7000)]
    evidence.probes.append(ProbeReceived("c", True, False))
    evidence.stats = stats(discarded=57, alerts=3)
    assert failed(evidence) == ["listed person alerted at the hub, each passage once"]


def test_an_alert_while_the_listed_person_is_away_fails() -> None:
    evidence = good()
    evidence.alerts["c"] = [alert("c", 12000)]
    evidence.probes.append(ProbeReceived("c", True, False))
    evidence.stats = stats(discarded=57, alerts=3)
    assert failed(evidence) == ["nobody else alerted"]


def test_an_alert_for_another_entry_fails_even_in_the_passage() -> None:
    evidence = good()
    evidence.alerts["a"] = [alert("a", 5000, entry="e-2")]
    assert "nobody else alerted" in failed(evidence)


def test_a_statement_that_arrived_twice_fails() -> None:
    evidence = good()
    evidence.alerts["b"].append(evidence.alerts["b"][0])
    assert failed(evidence) == ["one alert a passage, revised by id"]


@pytest.mark.parametrize("count", [stats(faces_seen=61), stats(discarded=57, alerts=3), stats(0, 0, 0), None])
def test_counts_that_do_not_balance_fail(count: Stats | None) -> None:
    evidence = good()
    evidence.stats = count
    assert failed(evidence) == ["counts balance"]


@pytest.mark.parametrize(
    "probes",
    [
        [],
        [ProbeReceived("a", True, False)],
        [ProbeReceived("a", True, False), ProbeReceived("b", False, False)],
        [ProbeReceived("a", True, True), ProbeReceived("b", True, False)],
    ],
)
def test_probes_that_are_missing_or_readable_by_others_fail(probes: list[ProbeReceived]) -> None:
    evidence = good()
    evidence.probes = probes
    assert failed(evidence) == ["probes open for the hub alone"]


def test_a_device_that_never_recognised_or_never_ended_fails() -> None:
    for states in (["ready", "armed", "inhibited", "ending"], ["ready", "armed", "recognising"], []):
        evidence = good()
        evidence.states = states
        assert failed(evidence) == ["device recognised and reached its ending"]


def test_a_missing_receipt_for_the_watchlist_fails() -> None:
    evidence = good()
    evidence.erasures = [receipt("alert")]
    assert failed(evidence) == ["erasure receipts received"]


@pytest.mark.parametrize("states", [[], [watchlist()], [watchlist(erased_at=AT), watchlist()]])
def test_a_device_that_does_not_say_that_its_list_is_erased_fails_in_spite_of_its_receipt(
    states: list[WatchlistState],
) -> None:
    evidence = good()
    evidence.watchlists = states
    assert failed(evidence) == ["erasure receipts received"]


@pytest.mark.parametrize("left", [None, ["keys/content-d-1.txt"]])
def test_a_key_that_the_hub_still_has_after_the_end_fails(left: list[str] | None) -> None:
    evidence = good()
    evidence.keys_left = left
    assert failed(evidence) == ["keys gone at the hub too"]


def test_a_process_that_was_killed_or_failed_is_named() -> None:
    evidence = good()
    evidence.statuses = {"device": 70, "hub": 0}
    (bad,) = (check for check in verdict(evidence) if not check.holds)
    assert bad.found == "device: 70"


def test_a_leftover_and_a_travelling_name_fail() -> None:
    evidence = good()
    evidence.leftovers = [(Path("/tmp/x"), "a JPEG picture")]
    evidence.named = ["device.log"]
    assert failed(evidence) == ["no name travels or is logged", "nothing personal left on disk"]


def test_a_log_that_is_not_whole_is_named() -> None:
    evidence = good()
    evidence.audit = (False, "row 7: its content is not what its hash says")
    assert failed(evidence) == ["audit chain verifies against the hub's signed heads"]
