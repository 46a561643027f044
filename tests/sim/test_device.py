"""The whole supervisor on fakes and virtual time: what a person beside the van would check."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from device.alerts import messages
from device.errors import SourceUnreadable
from device.supervisor.keeper import Budget
from device.supervisor.snapshot import CameraView
from device.supervisor.states import State


def test_nothing_recognises_before_the_sign_is_sensed_lit(rig: Any) -> None:
    async def scene(r: Any) -> None:
        r.lines.lamp_works = False
        await asyncio.sleep(10)
        assert r.state is State.READY
        assert r.launcher.workers == []
        assert "the sign was seen dark, then lit" in r.reasons
        r.lines.lamp_works = True
        await r.recognising()
        assert r.lines.sign_sensed()

    rig().play(scene)


def test_a_sign_that_was_never_dark_proves_nothing(rig: Any) -> None:
    async def scene(r: Any) -> None:
        r.lines.stray_light = True
        await asyncio.sleep(10)
        assert r.state is State.READY
        assert not r.lines.sign_driven
        assert "sunlight" in r.reasons

    rig().play(scene)


def test_recognition_stops_within_a_second_of_a_dark_sign(rig: Any) -> None:
    async def scene(r: Any) -> None:
        await r.recognising()
        r.lines.lamp_works = False
        took = await r.until(lambda: not r.worker.running)
        assert took < 1.0
        assert r.state is State.INHIBITED
        r.lines.lamp_works = True
        await r.recognising()
        assert len(r.launcher.workers) == 2

    rig().play(scene)


def test_recognition_stops_within_a_second_even_when_the_worker_is_deaf(rig: Any) -> None:
    async def scene(r: Any) -> None:
        await r.recognising()
        r.launcher.script.deaf = True
        r.lines.lamp_works = False
        assert await r.until(lambda: not r.worker.running) < 1.0

    rig().play(scene)


def test_lines_that_do_not_answer_stop_recognition(rig: Any) -> None:
    async def scene(r: Any) -> None:
        await r.recognising()
        r.lines.failing = True
        assert await r.until(lambda: not r.worker.running) < 1.0
        r.lines.failing = False
        await r.recognising()

    rig().play(scene)


def test_sign_stays_on_until_worker_has_exited(rig: Any) -> None:
    async def scene(r: Any) -> None:
        await r.recognising()
        r.launcher.script.lingers_s = 1.5
        r.hub.operator(False)
        while r.worker.running:
            assert r.lines.sign_driven
            await asyncio.sleep(0.01)
        await r.until(lambda: not r.lines.sign_driven, 1.0)

    rig().play(scene)


def test_one_alert_per_passage_and_revisions_keep_the_id(rig: Any) -> None:
    async def scene(r: Any) -> None:
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
        assert first[-1].probe.sha256 == "c" * 64
        assert {topic.split("/")[-2] for topic, _ in r.hub.probes()} == {a.alert_id for a in alerts}

    rig().play(scene)


def test_the_same_passage_number_after_a_restart_is_another_person(rig: Any) -> None:
    async def scene(r: Any) -> None:
        await r.recognising()
        r.worker.raise_candidate(1)
        await asyncio.sleep(0.5)
        r.worker.crash()
        await r.until(lambda: len(r.launcher.workers) == 2)
        await r.recognising()
        r.worker.raise_candidate(1)
        await asyncio.sleep(0.5)
        assert len({a.alert_id for a in r.hub.alerts()}) == 2

    rig().play(scene)


def test_a_crashed_worker_is_restarted_within_its_budget(rig: Any) -> None:
    async def scene(r: Any) -> None:
        await r.recognising()
        r.worker.crash()
        await r.until(lambda: r.state is State.INHIBITED, 1.0)
        assert "signal 11" in r.reasons
        await r.recognising()
        assert len(r.launcher.workers) == 2

    rig().play(scene)


def test_a_silent_worker_is_killed_and_restarted(rig: Any) -> None:
    async def scene(r: Any) -> None:
        await r.recognising()
        first = r.worker
        first.silent = True
        assert await r.until(lambda: not first.running) < 2.5
        await r.recognising()
        assert r.worker is not first

    rig().play(scene)


def test_an_exhausted_restart_budget_inhibits_with_its_reason(rig: Any) -> None:
    async def scene(r: Any) -> None:
        await r.recognising()
        r.launcher.script.crash_at_start = True
        r.worker.crash()
        await r.until(lambda: "restart budget exhausted" in r.reasons)
        await asyncio.sleep(0.5)
        assert r.state is State.INHIBITED
        assert r.hub.last(messages.CameraStatus).status == "disabled"
        r.launcher.script.crash_at_start = False
        await r.until(lambda: r.state is State.RECOGNISING)

    rig(budget=Budget(restarts=2, cool_off_s=20.0)).play(scene)


def test_without_an_operator_nobody_is_recognised(rig: Any) -> None:
    async def scene(r: Any) -> None:
        await asyncio.sleep(5)
        assert r.state is State.READY
        assert not r.lines.sign_driven
        r.hub.operator(True)
        await r.recognising()
        r.hub.operator(False)
        assert await r.until(lambda: not r.worker.running) < 1.0
        assert r.state is State.INHIBITED
        assert "operator" in r.reasons

    rig(operator=False).play(scene)


def test_a_short_gap_of_the_hub_is_bridged_and_a_long_one_inhibits(rig: Any) -> None:
    async def scene(r: Any) -> None:
        await r.recognising()
        r.exchange.kill("hub")
        await asyncio.sleep(4)
        assert r.state is State.RECOGNISING
        took = await r.until(lambda: r.state is State.INHIBITED)
        assert took < 1.5

    rig().play(scene)


def test_an_alert_raised_while_the_broker_is_away_arrives_when_it_returns(rig: Any) -> None:
    async def scene(r: Any) -> None:
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


def test_an_alert_that_nobody_hears_is_sent_again(rig: Any) -> None:
    async def scene(r: Any) -> None:
        await r.recognising()
        r.exchange.deny("cam-1", "lfr/v1/demo/cam-1/alert/+")
        r.worker.raise_candidate(1)
        await asyncio.sleep(2)
        assert r.hub.alerts() == []
        r.exchange._denied.clear()
        await r.until(lambda: len(r.hub.alerts()) > 0)

    rig().play(scene)


def test_end_of_recording_erases_and_balances(rig: Any) -> None:
    async def scene(r: Any) -> Any:
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
    assert not (r.config.deployment / "identity.txt").exists()
    assert not (r.config.deployment / "watchlist.age").exists()
    receipts = {(e.what, e.reason): e for e in r.hub.receipts()}
    assert receipts["watchlist", "end_of_deployment"].count == 3
    assert receipts["template", "no_match"].count == 60
    assert ("alert", "end_of_deployment") in receipts
    assert r.hub.last(messages.Status).status == "stopped"
    assert r.hub.last(messages.WatchlistState).erased_at is not None
    assert r.hub.last(messages.Stats).alerts == 2
    assert not r.lines.sign_driven


def test_a_lie_of_the_worker_breaks_the_balance(rig: Any) -> None:
    async def scene(r: Any) -> Any:
        await r.recognising()
        r.worker.raise_candidate(1)
        r.worker.counters.alerted += 1
        r.worker.finish()
        return await r.outcome()

    assert not rig().play(scene).summary["balanced"]


def test_people_in_a_killed_workers_memory_are_counted_as_gone_with_it(rig: Any) -> None:
    async def scene(r: Any) -> Any:
        await r.recognising()
        r.worker.passers_by(5)
        r.worker.counters.faces_seen += 2
        await asyncio.sleep(0.5)
        r.worker.crash()
        await r.until(lambda: len(r.launcher.workers) == 2)
        await r.recognising()
        r.worker.finish()
        return await r.outcome()

    summary = rig().play(scene).summary
    assert summary["balanced"]
    assert (summary["faces_seen"], summary["discarded"], summary["discarded_by_exit"]) == (7, 5, 2)


def test_alerts_are_kept_for_their_hours_when_the_policy_says_so(rig: Any) -> None:
    async def scene(r: Any) -> Any:
        await r.recognising()
        r.worker.raise_candidate(1)
        r.worker.finish()
        return await r.outcome()

    outcome = rig(alert_hours=24).play(scene)
    assert outcome.summary["alerts_held"] == 1
    assert not outcome.leave_nothing


def test_erasure_does_not_wait_for_a_broker_that_is_gone(rig: Any) -> None:
    async def scene(r: Any) -> Any:
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
    assert not (r.config.deployment / "identity.txt").exists()


def test_a_false_alert_is_deleted_at_once_and_its_passage_is_left_alone(rig: Any) -> None:
    async def scene(r: Any) -> None:
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


@pytest.mark.parametrize("who", ["button", "hub"])
def test_stop_ends_recognition_and_lasts_until_resume(rig: Any, who: str) -> None:
    async def scene(r: Any) -> None:
        await r.recognising()
        r.lines.press_stop() if who == "button" else r.hub.command("stop")
        assert await r.until(lambda: not r.worker.running) < 1.0
        await asyncio.sleep(5)
        assert r.state is State.INHIBITED
        assert "STOP" in r.reasons
        assert not r.lines.sign_driven
        r.hub.command("unheard-of")
        await asyncio.sleep(1)
        assert r.state is State.INHIBITED
        r.hub.command("resume")
        await r.recognising()

    rig().play(scene)


def test_one_bad_camera_never_stops_another(rig: Any) -> None:
    async def scene(r: Any) -> None:
        await r.recognising()
        await r.until(lambda: len(r.launcher.workers) == 2)
        good = r.launcher.of("front")
        r.launcher.of("rear").crash()
        await asyncio.sleep(3)
        assert good.running
        assert r.state is State.RECOGNISING
        assert r.launcher.of("rear").running

    rig(cameras=("front", "rear")).play(scene)


def test_the_deployment_goes_on_until_the_last_recording_ends(rig: Any) -> None:
    async def scene(r: Any) -> Any:
        await r.recognising()
        await asyncio.sleep(1)
        r.launcher.of("front").finish()
        await asyncio.sleep(3)
        assert r.state is State.RECOGNISING
        r.launcher.of("rear").finish()
        return await r.outcome()

    assert rig(cameras=("front", "rear")).play(scene).exit_status == 0


def test_a_dark_camera_inhibits_and_its_worker_stays_to_see_it_return(rig: Any) -> None:
    async def scene(r: Any) -> None:
        await r.recognising()
        r.worker.view = "dark"
        assert await r.until(lambda: r.state is State.INHIBITED) < 1.0
        assert r.worker.running
        assert r.lines.sign_driven
        r.worker.view = "online"
        await r.recognising()
        assert len(r.launcher.workers) == 1

    rig().play(scene)


def test_a_live_source_that_ends_is_a_failure_and_not_the_end(rig: Any) -> None:
    async def scene(r: Any) -> None:
        r.clock.is_synchronised = True
        await r.recognising()
        r.worker.finish("gone")
        await r.until(lambda: r.state is State.INHIBITED, 1.0)
        assert "the source ended" in r.reasons
        await r.recognising()

    rig(live=True).play(scene)


def test_a_live_camera_needs_a_synchronised_clock_and_a_recording_does_not(rig: Any) -> None:
    async def scene(r: Any) -> None:
        r.clock.is_synchronised = False
        await asyncio.sleep(5)
        assert "the clock is synchronised" in r.reasons
        assert r.state is State.READY
        r.clock.is_synchronised = True
        await r.recognising()

    rig(live=True).play(scene)


def test_a_demonstration_in_front_of_a_live_camera_holds_ten_subjects_at_most(rig: Any) -> None:
    async def scene(r: Any) -> None:
        r.launcher.script.watchlist = {"subjects": 11}
        await r.until(lambda: "authorised size" in r.reasons)
        await r.until(lambda: not r.worker.running, 1.0)

    rig(live=True).play(scene)


def test_another_watchlist_than_the_authorised_one_is_refused_for_good(rig: Any) -> None:
    async def scene(r: Any) -> None:
        r.launcher.script.watchlist = {"sha256": "f" * 64}
        await r.until(lambda: r.state is State.INHIBITED)
        await asyncio.sleep(30)
        assert len(r.launcher.workers) == 1
        assert "is the one the deployment authorises" in r.reasons

    rig().play(scene)


def test_a_deployment_for_another_device_is_not_armed(rig: Any) -> None:
    async def scene(r: Any) -> None:
        await asyncio.sleep(5)
        assert r.state is State.READY
        assert "names this device" in r.reasons

    rig(device="cam-2").play(scene)


def test_the_end_of_the_window_ends_the_deployment(rig: Any) -> None:
    async def scene(r: Any) -> Any:
        await r.recognising()
        return await r.outcome()

    r = rig(window_s=60)
    outcome = r.play(scene)
    assert outcome.exit_status == 0
    assert not (r.config.deployment / "identity.txt").exists()
    assert r.worker.stopped is not None


def test_a_window_that_is_over_before_anybody_looked_is_a_refusal(rig: Any) -> None:
    async def scene(r: Any) -> Any:
        return await r.outcome()

    r = rig(window_s=-60)
    assert r.play(scene).exit_status == 77
    assert r.launcher.workers == []


def test_an_unreadable_recording_ends_with_its_error_and_erases_nothing(rig: Any) -> None:
    async def scene(r: Any) -> None:
        await r.recognising()
        r.worker.fail("SourceUnreadable", "front.mp4 is not a video", 65)
        await r.outcome()

    r = rig()
    with pytest.raises(SourceUnreadable, match=r"front\.mp4 is not a video"):
        r.play(scene)
    assert (r.config.deployment / "identity.txt").exists()


def test_an_interrupt_of_a_demonstration_erases_and_says_so(rig: Any) -> None:
    async def scene(r: Any) -> Any:
        await r.recognising()
        r.worker.raise_candidate(1)
        r.device.control.leave(130)
        return await r.outcome()

    r = rig()
    outcome = r.play(scene)
    assert outcome.exit_status == 130
    assert outcome.leave_nothing
    assert not r.worker.running


def test_a_stop_of_a_live_device_keeps_its_deployment_for_the_next_start(rig: Any) -> None:
    async def scene(r: Any) -> Any:
        await r.recognising()
        r.device.control.leave(0)
        return await r.outcome()

    r = rig(live=True)
    outcome = r.play(scene)
    assert outcome.exit_status == 0
    assert (r.config.deployment / "identity.txt").exists()
    assert not r.lines.sign_driven
    assert r.hub.last(messages.Status).status == "stopped"


def test_a_deployment_that_appears_later_is_taken_up(rig: Any) -> None:
    async def scene(r: Any) -> None:
        identity = r.config.deployment / "identity.txt"
        kept = identity.read_text()
        identity.unlink()
        await asyncio.sleep(10)
        assert r.state is State.READY
        assert "identity.txt" in r.reasons
        identity.write_text(kept)
        await r.recognising()

    rig().play(scene)


def test_the_hub_sees_every_condition_and_why_the_device_is_inhibited(rig: Any) -> None:
    async def scene(r: Any) -> None:
        await r.recognising()
        r.hub.command("stop")
        await asyncio.sleep(2)
        state = r.hub.last(messages.DeviceState)
        assert state.state == "inhibited"
        assert any("STOP" in reason for reason in state.inhibit_reasons)
        assert {c.result for c in state.conditions} >= {"holds", "fails", "not_yet_required"}
        assert state.lamps is not None
        assert state.lamps.fault
        assert r.service.last_status.startswith("inhibited: ")

    rig().play(scene)


def test_every_camera_state_is_said_on_its_own_topic(rig: Any) -> None:
    async def scene(r: Any) -> None:
        await r.recognising()
        await asyncio.sleep(1)
        r.worker.view = "frozen"
        await asyncio.sleep(1)
        said = [m.status for m in map(_data, r.hub.received) if isinstance(m, messages.CameraStatus)]
        assert said[0] == "offline"
        assert said[-2:] == ["online", "frozen"]

    rig().play(scene)


def test_after_a_new_session_the_device_is_born_again_and_repeats_what_is_retained(rig: Any) -> None:
    async def scene(r: Any) -> None:
        await r.recognising()
        r.exchange.go_down()
        await asyncio.sleep(1)
        r.exchange.come_up()
        await asyncio.sleep(1)
        births = [m for m in map(_data, r.hub.received) if isinstance(m, messages.Birth)]
        assert births[-1].bd_seq == 2
        base = "lfr/v1/demo/cam-1"
        retained = {t.removeprefix(base) for t in r.exchange.retained if t.startswith(base)}
        assert retained == {"/status", "/birth", "/state", "/health", "/camera/front/status", "/watchlist/state"}

    rig().play(scene)


def test_the_watchdog_is_fed_while_the_device_waits(rig: Any) -> None:
    async def scene(r: Any) -> None:
        await asyncio.sleep(10)
        assert r.service.beats >= 9
        assert r.service.is_ready

    rig(operator=False).play(scene)


def test_views_cover_every_word_of_a_beat() -> None:
    assert {"online", "frozen", "dark", "offline", "ended"} <= {view.value for view in CameraView}


def _data(received: tuple[str, bytes]) -> object:
    from device.alerts import events

    return None if received[0].endswith("/probe") else events.decode(received[1]).data
