"""The end: deliver, erase, prove, balance. The whole supervisor on fakes and virtual time."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from device.errors import SourceUnreadable, Unavailable
from device.hub_api import messages
from device.outbox.message import ErasedAlert
from device.outbox.retry import MessageClass
from device.outbox.store import Outbox
from device.supervisor.state_machine import State
from tests.sim.rig import MakeRig, Rig


def test_a_silent_worker_is_killed_and_restarted(rig: MakeRig) -> None:
    async def scene(r: Rig) -> None:
        await r.recognising()
        first = r.worker
        first.silent = True
        assert await r.until(lambda: not first.running) < 2.5
        await r.until(lambda: r.worker is not first)
        await r.recognising()
        assert r.worker.running

    rig(live=True).play(scene)


def test_end_of_recording_erases_and_balances(rig: MakeRig) -> None:
    async def scene(r: Rig) -> Any:
        await r.recognising()
        r.worker.passers_by(60)
        r.worker.raise_candidate(1)
        r.worker.raise_candidate(2)
        r.worker.finish()
        return await r.outcome()

    r = rig()
    outcome = r.play(scene)
    assert outcome.exit_status == 0
    assert outcome.leave_nothing
    assert outcome.summary["balanced"]
    assert (outcome.summary["faces_seen"], outcome.summary["discarded"], outcome.summary["alerted"]) == (62, 60, 2)
    assert len({a.alert_id for a in r.hub.alerts()}) == 2
    assert not (r.place / "watchlist.age").exists()
    receipts = {(e.what, e.reason): e for e in r.hub.receipts()}
    assert receipts["watchlist", "end_of_deployment"].count == 3
    assert receipts["template", "no_match"].count == 60
    assert ("alert", "end_of_deployment") in receipts
    assert r.hub.last(messages.Status).status == "stopped"
    assert r.hub.last(messages.WatchlistState).erased_at is not None
    assert r.hub.last(messages.Stats).alerts == 2
    assert not r.lines.sign_driven


def test_a_lie_of_the_worker_breaks_the_balance(rig: MakeRig) -> None:
    async def scene(r: Rig) -> Any:
        await r.recognising()
        r.worker.raise_candidate(1)
        r.worker.counters.alerted += 1
        r.worker.finish()
        return await r.outcome()

    assert not rig().play(scene).summary["balanced"]


def test_alerts_are_kept_for_the_hours_of_the_policy(rig: MakeRig) -> None:
    async def scene(r: Rig) -> Any:
        await r.recognising()
        r.worker.raise_candidate(1)
        r.worker.finish()
        return await r.outcome()

    outcome = rig(alert_hours=24).play(scene)
    assert outcome.summary["alerts_held"] == 1
    assert not outcome.leave_nothing


def test_erasure_does_not_wait_for_a_broker_that_is_gone(rig: MakeRig) -> None:
    async def scene(r: Rig) -> Any:
        await r.recognising()
        r.exchange.go_down()
        r.worker.raise_candidate(1)
        r.worker.finish()
        begin = r.loop.time()
        outcome = await r.outcome()
        assert r.loop.time() - begin < 20
        return outcome

    r = rig()
    outcome = r.play(scene)
    assert outcome.summary["alerts_undelivered"] == 1
    assert outcome.summary["alerts_held"] == 0
    assert not (r.place / "watchlist.age").exists()


def test_the_deployment_goes_on_until_the_last_recording_ends(rig: MakeRig) -> None:
    async def scene(r: Rig) -> Any:
        await r.recognising()
        await asyncio.sleep(1)
        r.launcher.of("front").finish()
        await asyncio.sleep(3)
        assert r.state is State.RECOGNISING
        r.launcher.of("rear").finish()
        return await r.outcome()

    assert rig(cameras=("front", "rear")).play(scene).exit_status == 0


def test_an_unreadable_recording_ends_with_its_error_and_erases_nothing(rig: MakeRig) -> None:
    async def scene(r: Rig) -> None:
        await r.recognising()
        r.worker.fail("SourceUnreadable", "front.mp4 is not a video", 65)
        await r.outcome()

    r = rig()
    with pytest.raises(SourceUnreadable, match=r"front\.mp4 is not a video"):
        r.play(scene)
    assert (r.place / "watchlist.age").exists()


def test_an_interrupt_of_a_demonstration_erases_and_reports_it(rig: MakeRig) -> None:
    async def scene(r: Rig) -> Any:
        await r.recognising()
        r.worker.raise_candidate(1)
        r.device.supervisor.leave(130)
        return await r.outcome()

    r = rig()
    outcome = r.play(scene)
    assert outcome.exit_status == 130
    assert outcome.leave_nothing
    assert not r.worker.running


def test_a_stop_of_a_live_device_keeps_its_deployment_for_the_next_start(rig: MakeRig) -> None:
    async def scene(r: Rig) -> Any:
        await r.recognising()
        r.device.supervisor.leave(0)
        return await r.outcome()

    r = rig(live=True)
    outcome = r.play(scene)
    assert outcome.exit_status == 0
    assert (r.place / "watchlist.age").exists()
    assert not r.lines.sign_driven
    assert r.hub.last(messages.Status).status == "stopped"


def test_a_dead_outbox_keeps_neither_key_nor_list_alive_and_ends_visibly(rig: MakeRig) -> None:
    async def scene(r: Rig) -> Any:
        await r.recognising()
        r.worker.raise_candidate(1)
        await asyncio.sleep(1)
        r.outbox.close()
        r.worker.finish()
        await r.until(lambda: r.state is State.ENDING)
        await asyncio.sleep(0.1)
        assert not (r.place / "watchlist.age").exists()
        return await r.outcome()

    r = rig()
    outcome = r.play(scene)
    assert not (r.place / "watchlist.age").exists()
    assert outcome.exit_status == 69
    assert "outbox" in outcome.summary["faults"]
    assert outcome.summary["alerts_held"] is None
    assert outcome.leave_nothing
    assert not r.lines.sign_driven


def test_a_list_that_cannot_be_deleted_stops_no_other_erasure_and_ends_visibly(
    rig: MakeRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    unlink = Path.unlink

    def refuse(self: Path, missing_ok: bool = False) -> None:
        if self.name == "watchlist.age":
            raise PermissionError(13, "Permission denied")
        unlink(self, missing_ok)

    async def scene(r: Rig) -> Any:
        await r.recognising()
        r.worker.raise_candidate(1)
        r.worker.finish()
        return await r.outcome()

    monkeypatch.setattr(Path, "unlink", refuse)
    r = rig()
    outcome = r.play(scene)
    assert outcome.exit_status == 69
    assert "watchlist.age (Permission denied)" in outcome.summary["faults"]["authorisation"]
    assert outcome.summary["alerts_held"] == 0
    receipts = {(e.what, e.reason) for e in r.hub.receipts()}
    assert ("alert", "end_of_deployment") in receipts
    assert ("watchlist", "end_of_deployment") not in receipts


@pytest.mark.parametrize(("refusals", "status"), [(3, 0), (10_000, 69)])
def test_an_alert_that_the_disk_will_not_erase_is_tried_until_the_deadline_and_then_reported(
    rig: MakeRig, monkeypatch: pytest.MonkeyPatch, refusals: int, status: int
) -> None:
    erase_all, left = Outbox.erase_all, [refusals]

    def refuse(self: Outbox, reason: str) -> list[ErasedAlert]:
        left[0] -= 1
        if left[0] >= 0:
            raise Unavailable("disk I/O error")
        return erase_all(self, reason)

    async def scene(r: Rig) -> Any:
        await r.recognising()
        r.worker.raise_candidate(1)
        r.worker.finish()
        return await r.outcome()

    monkeypatch.setattr(Outbox, "erase_all", refuse)
    outcome = rig().play(scene)
    assert outcome.exit_status == status
    assert outcome.summary["alerts_held"] == (1 if status else 0)
    assert ("outbox" in outcome.summary["faults"]) is bool(status)


@pytest.mark.slow
def test_a_live_device_stays_until_the_last_kept_alert_has_been_erased(rig: MakeRig) -> None:
    async def scene(r: Rig) -> Any:
        await r.recognising()
        r.worker.raise_candidate(1)
        await r.until(lambda: not r.waiting(MessageClass.ALERT) and bool(r.outbox.alerts_held()))
        await r.until(lambda: r.state is State.SAFE, 200.0)
        assert not (r.place / "watchlist.age").exists()
        assert not r.worker.running
        await asyncio.sleep(60)
        assert r.task is not None
        assert not r.task.done()
        assert not r.lines.sign_driven
        assert r.outbox.alerts_held() != []
        r.clock.set_wall(r.clock.wall() + timedelta(hours=1))
        return await r.outcome()

    r = rig(live=True, window_s=30, alert_hours=1)
    outcome = r.play(scene)
    assert outcome.exit_status == 0
    assert outcome.summary["alerts_held"] == 0
    assert ("alert", "retention") in {(e.what, e.reason) for e in r.hub.receipts()}


@pytest.mark.slow
def test_a_signal_ends_the_wait_for_kept_alerts(rig: MakeRig) -> None:
    async def scene(r: Rig) -> Any:
        await r.recognising()
        r.worker.raise_candidate(1)
        await r.until(lambda: r.state is State.SAFE, 200.0)
        await asyncio.sleep(60)
        assert r.task is not None
        assert not r.task.done()
        r.device.supervisor.leave(0)
        return await r.outcome()

    outcome = rig(live=True, window_s=30, alert_hours=24).play(scene)
    assert outcome.exit_status == 0
    assert outcome.summary["alerts_held"] == 1
