"""One alert a passage, delivered whatever the broker does, gone when judged false. On fakes and virtual time."""

from __future__ import annotations

import asyncio
import hashlib
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from device.domain.time import wall
from device.hub_api import events, messages
from device.outbox.message import OutboxMessage
from device.outbox.retry import MessageClass
from device.supervisor.state_machine import State
from device.supervisor.timing import STATS_S
from tests.sim.rig import MakeRig, Rig

PROBE = b"age-encryption.org/v1 ciphertext"


def test_an_alert_is_published_once_with_the_hash_of_its_probe(rig: MakeRig) -> None:
    async def scene(r: Rig) -> None:
        await r.recognising()
        r.worker.raise_candidate(7)
        await r.until(lambda: bool(r.hub.probes() and r.hub.alerts()))
        await asyncio.sleep(2)
        (alert,) = r.hub.alerts()
        ((topic, ciphertext),) = r.hub.probes()
        assert (alert.revision, alert.state) == (0, "open")
        assert topic.endswith(f"{alert.alert_id}/probe")
        assert hashlib.sha256(ciphertext).hexdigest() == alert.probe.sha256

    rig(live=True).play(scene)


@pytest.mark.slow
def test_a_probe_without_an_alert_is_dropped_at_once_and_counted(rig: MakeRig) -> None:
    async def scene(r: Rig) -> None:
        await r.recognising()
        r.worker.raise_candidate(7)
        await r.until(lambda: bool(r.hub.alerts()))
        r.hub.judge(r.hub.alerts()[-1].alert_id, "false_alert")
        await asyncio.sleep(1)
        before = len(r.hub.probes())
        r.worker.raise_candidate(7, revision=1, score=0.9)
        await asyncio.sleep(1)
        assert len(r.hub.probes()) == before
        assert r.waiting(MessageClass.PROBE) == 0
        await asyncio.sleep(STATS_S)
        assert [r.hub.all(messages.Stats)[n].probes_dropped for n in (0, -1)] == [0, 1]

    rig(live=True).play(scene)


def test_one_alert_per_passage_and_revisions_keep_the_id(rig: MakeRig) -> None:
    async def scene(r: Rig) -> None:
        await r.recognising()
        r.worker.raise_candidate(7)
        await asyncio.sleep(0.5)
        r.worker.raise_candidate(7, revision=1, score=0.7)
        r.worker.raise_candidate(8)
        await asyncio.sleep(1)
        alerts = r.hub.alerts()
        assert len({a.alert_id for a in alerts}) == 2
        first = [a for a in alerts if a.track.id == 7]
        assert len({a.alert_id for a in first}) == 1
        assert [a.revision for a in first] == sorted({a.revision for a in first})
        assert first[0].state == "open"
        assert first[-1].state == "updated"
        assert first[-1].score == pytest.approx(0.7)
        assert {a.probe.sha256 for a in first} == {hashlib.sha256(PROBE).hexdigest()}
        assert {topic.split("/")[-2] for topic, _ in r.hub.probes()} == {a.alert_id for a in alerts}

    rig().play(scene)


def test_an_alerts_latency_counts_its_way_through_worker_and_link(rig: MakeRig) -> None:
    async def scene(r: Rig) -> None:
        await r.recognising()
        r.worker.raise_candidate(7, decoded_ns=int(r.clock.monotonic()) - 150_000_000)
        await r.until(lambda: bool(r.hub.alerts()))
        assert r.hub.alerts()[0].latency_ms == pytest.approx(150, abs=20)

    rig().play(scene)


def test_an_alert_carries_what_the_watchlist_and_the_deployment_say_of_its_entry(
    rig: MakeRig, caplog: pytest.LogCaptureFixture
) -> None:
    async def scene(r: Rig) -> None:
        await r.recognising()
        r.worker.raise_candidate(1)
        await asyncio.sleep(0.5)
        output = r.hub.alerts()[-1].candidate
        assert (output.category, output.image_source, output.image_age_days, output.response_code) == (
            "missing",
            "custody",
            10,
            "R3",
        )
        assert "alert.category_unknown" not in caplog.text
        r.worker.raise_candidate(2, category="unheard-of")
        await asyncio.sleep(0.5)
        assert (r.hub.alerts()[-1].candidate.category, r.hub.alerts()[-1].candidate.response_code) == (
            "unheard-of",
            None,
        )
        assert caplog.text.count("alert.category_unknown") == 1

    rig().play(scene)


def test_the_same_passage_number_after_a_restart_is_another_person(rig: MakeRig) -> None:
    async def scene(r: Rig) -> None:
        await r.recognising()
        r.worker.raise_candidate(1)
        await asyncio.sleep(0.5)
        r.worker.crash()
        await r.until(lambda: len(r.launcher.workers) == 2)
        await r.recognising()
        r.worker.raise_candidate(1)
        await asyncio.sleep(0.5)
        assert len({a.alert_id for a in r.hub.alerts()}) == 2

    rig(live=True).play(scene)


def test_an_alert_raised_while_the_broker_is_away_arrives_when_it_returns(rig: MakeRig) -> None:
    async def scene(r: Rig) -> None:
        await r.recognising()
        r.worker.raise_candidate(1)
        await asyncio.sleep(0.001)
        r.exchange.go_down()
        r.worker.raise_candidate(2)
        await asyncio.sleep(3)
        r.exchange.come_up()
        r.hub.operator(True)
        await r.until(lambda: len({a.alert_id for a in r.hub.alerts() if a.probe.sha256}) == 2)
        assert r.state is State.RECOGNISING

    rig().play(scene)


def test_an_unacknowledged_alert_is_sent_again(rig: MakeRig) -> None:
    async def scene(r: Rig) -> None:
        await r.recognising()
        r.exchange.deny("cam-1", "lfr/v1/demo/cam-1/alert/+")
        r.worker.raise_candidate(1)
        await asyncio.sleep(2)
        assert r.hub.alerts() == []
        r.exchange._denied.clear()
        await r.until(lambda: len(r.hub.alerts()) > 0)

    rig().play(scene)


def test_an_alert_that_only_others_received_is_kept_until_the_hub_is_there(rig: MakeRig) -> None:
    async def scene(r: Rig) -> None:
        await r.recognising()
        received: list[str] = []
        listener = r.listener(lambda topic, payload: received.append(topic))
        r.exchange.kill("hub")
        r.exchange.sessions["hub"].queued.clear()
        r.worker.raise_candidate(1)
        await asyncio.sleep(3)
        assert any("/alert/" in topic for topic in received)
        assert (r.waiting(MessageClass.ALERT), r.waiting(MessageClass.PROBE)) == (1, 1)
        r.exchange.sessions["hub"].queued.clear()
        r.exchange.sessions["hub"].found()
        assert r.hub.alerts() == []
        r.hub.operator(True)
        took = await r.until(lambda: bool(r.hub.alerts() and r.hub.probes()))
        assert took < 1.0
        await r.until(lambda: not r.waiting(MessageClass.ALERT) and not r.waiting(MessageClass.PROBE), 1.0)
        assert listener is not None

    rig().play(scene)


@pytest.mark.long
def test_an_alert_that_no_hub_acknowledged_expires_with_a_receipt(rig: MakeRig) -> None:
    async def scene(r: Rig) -> None:
        await r.recognising()
        r.listener(lambda topic, payload: None)
        r.exchange.kill("hub")
        r.worker.raise_candidate(1)
        await r.until(lambda: bool(r.outbox.alerts_held()))
        await asyncio.sleep(890)
        assert r.outbox.alerts_held()
        await r.until(lambda: not r.outbox.alerts_held(), 20.0)
        assert r.outbox.tally()["erased.expiry"] == 1

    rig().play(scene)


def test_a_false_alert_is_deleted_at_once_and_its_passage_is_left_alone(rig: MakeRig) -> None:
    async def scene(r: Rig) -> None:
        await r.recognising()
        r.worker.raise_candidate(1)
        r.worker.raise_candidate(2)
        await asyncio.sleep(1)
        false, true = r.hub.alerts()[0].alert_id, r.hub.alerts()[-1].alert_id
        r.hub.judge(false, "false_alert")
        await asyncio.sleep(0.2)
        assert r.outbox.alerts_held() == [true]
        receipts = [e for e in r.hub.receipts() if e.reason == "false_alert"]
        assert [e.alert_id for e in receipts] == [false]
        before = len(r.hub.alerts())
        r.worker.raise_candidate(1, revision=1)
        await asyncio.sleep(1)
        assert len(r.hub.alerts()) == before
        r.worker.raise_candidate(3)
        await asyncio.sleep(1)
        assert len(r.hub.alerts()) > before

    rig(alert_hours=24).play(scene)


def test_of_a_false_alert_only_its_id_stays_in_memory(rig: MakeRig) -> None:
    async def scene(r: Rig) -> None:
        await r.recognising()
        r.worker.raise_candidate(1)
        await asyncio.sleep(1)
        alert = r.hub.alerts()[-1]
        assert alert.candidate.entry_ref in repr(r.device._alerts)
        r.hub.judge(alert.alert_id, "false_alert")
        r.hub.judge(alert.alert_id, "false_alert")
        await asyncio.sleep(0.2)
        assert alert.candidate.entry_ref not in repr(r.device._alerts)
        assert r.device._alerts.judged_false == 1

    rig(alert_hours=24).play(scene)


def erased(r: Rig) -> list[tuple[str | None, str]]:
    """What the hub received about erased alerts: which, and why."""
    return [(e.alert_id, e.reason) for e in r.hub.receipts() if e.what == "alert"]


def test_what_waits_of_somebody_taken_off_the_list_is_never_delivered_and_leaves_a_receipt(rig: MakeRig) -> None:
    async def scene(r: Rig) -> Any:
        await r.recognising()
        r.worker.raise_candidate(1, entry="e-3")
        await r.until(lambda: len(r.hub.alerts()) > 0)
        r.exchange.go_down()
        r.worker.raise_candidate(2, entry="e-1")
        r.worker.raise_candidate(3, entry="e-2")
        await asyncio.sleep(0.5)
        r.repository.withdrawn = frozenset({"e-1", "e-3"})
        await asyncio.sleep(3)
        r.exchange.come_up()
        r.hub.operator(True)
        await r.until(lambda: "e-2" in {a.candidate.entry_ref for a in r.hub.alerts()})
        await r.until(lambda: bool(erased(r)))
        await asyncio.sleep(5)
        assert {a.candidate.entry_ref for a in r.hub.alerts()} == {"e-3", "e-2"}, "what was heard before stays heard"
        assert [reason for _, reason in erased(r)] == ["withdrawn"]
        r.repository.offers = False
        return await r.outcome()

    assert rig(live=True).play(scene).summary["balanced"], "it was an alert all the same"


def test_a_candidate_that_crosses_with_the_withdrawal_is_counted_and_not_sent(rig: MakeRig) -> None:
    async def scene(r: Rig) -> Any:
        await r.recognising()
        r.repository.withdrawn = frozenset({"e-1"})
        await r.until(lambda: r.worker.withdrawn == {"e-1"})
        r.worker.raise_candidate(1, entry="e-1")  # it was on its way
        r.worker.raise_candidate(1, revision=1, entry="e-1")
        await r.until(lambda: bool(erased(r)))
        await asyncio.sleep(3)
        assert r.hub.alerts() == []
        assert {reason for _, reason in erased(r)} == {"withdrawn"}
        r.repository.offers = False
        return await r.outcome()

    assert rig(live=True).play(scene).summary["balanced"]


def test_an_alert_from_before_a_restart_is_dropped_when_its_entry_was_withdrawn_meanwhile(
    rig: MakeRig, tmp_path: Path
) -> None:
    async def first(r: Rig) -> Any:
        await r.recognising()
        r.worker.raise_candidate(1, entry="e-1")
        await r.until(lambda: len(r.hub.alerts()) > 0)
        return r.hub.alerts()[0]

    async def again(r: Rig) -> None:
        await r.until(lambda: r.outbox.tally().get("erased.withdrawn") == 1)
        r.hub.operator(True)
        await r.until(lambda: len(erased(r)) == 1)
        await asyncio.sleep(3)
        assert set(erased(r)) == {(output.alert_id, "withdrawn")}, (
            "the hub takes it off its desk, if it was said at all"
        )
        assert r.outbox.alerts_held() == ["other"], "the same reference on another deployment's list is another entry"

    output = rig(live=True, folder=tmp_path / "first").play(first)
    r = rig(live=True, folder=tmp_path / "again", operator=False)
    r.repository.withdrawn = frozenset({"e-1"})
    for alert in (output, msgspec.structs.replace(output, alert_id="other", deployment_id="d-0")):
        later = wall(r.clock.wall() + timedelta(minutes=10))
        payload = events.encode(alert, event_id=alert.alert_id, source="lfr/v1/demo/cam-1", subject="x", at=later)
        topic = f"lfr/v1/demo/cam-1/alert/{alert.alert_id}"
        facts = {"id": alert.alert_id, "kind": MessageClass.ALERT, "topic": topic, "content_type": "application/json"}
        r.outbox.put(
            OutboxMessage(**facts, payload=payload, delete_by=later, expires_at=later, alert_id=alert.alert_id)
        )
    r.play(again)
