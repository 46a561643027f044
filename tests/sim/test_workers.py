"""One worker a camera: crashes, silence, budgets, dark cameras. The whole supervisor on fakes and virtual time."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import Any

import pytest

from device.domain.time import NS_PER_S
from device.errors import Unavailable
from device.hub_api import messages
from device.supervisor.state_machine import State
from device.supervisor.timing import Budget
from device.wire.journal_texts import journal_text
from device.wire.link import JournalLine, Level
from tests.sim.rig import MakeRig, Rig


def test_a_crashed_worker_is_restarted_within_its_budget(rig: MakeRig) -> None:
    async def scene(r: Rig) -> None:
        await r.recognising()
        r.worker.crash()
        await r.until(lambda: r.state is State.INHIBITED, 1.0)
        assert "signal 11" in r.reasons
        await r.recognising()
        assert len(r.launcher.workers) == 2

    rig(live=True).play(scene)


def test_an_exhausted_restart_budget_inhibits_with_its_reason(rig: MakeRig) -> None:
    async def scene(r: Rig) -> None:
        await r.recognising()
        r.launcher.script.crash_at_start = True
        r.worker.crash()
        await r.until(lambda: "restart budget exhausted" in r.reasons)
        await asyncio.sleep(0.5)
        assert r.state is State.INHIBITED
        assert r.hub.last(messages.CameraStatus).status == "disabled"
        r.launcher.script.crash_at_start = False
        await r.until(lambda: r.state is State.RECOGNISING)

    rig(live=True, budget=Budget(restarts=2, cool_off_s=20.0)).play(scene)


@pytest.mark.parametrize("opening_s", [0.0, 5.0])
def test_a_camera_that_was_away_for_45_s_is_recognised_with_again_within_6_s_of_its_return(
    rig: MakeRig, opening_s: float
) -> None:
    async def scene(r: Rig) -> None:
        await r.recognising()
        r.launcher.script.lost_after_s = opening_s
        r.worker.fail("SourceLost", "rtsp://camera/front: lost", 69)
        await r.until(lambda: r.state is State.INHIBITED, 1.0)
        assert "rtsp://camera/front: lost" in r.reasons
        gone_at = r.loop.time()
        while r.loop.time() - gone_at < 45:
            await asyncio.sleep(0.5)
            assert r.state is State.INHIBITED
            assert r.hub.last(messages.CameraStatus).status == "offline"
        r.launcher.script.lost_after_s = None
        back_s = await r.until(lambda: r.state is State.RECOGNISING, 20.0)
        assert back_s < 6 + opening_s

    rig(live=True).play(scene)


def test_a_lost_camera_leaves_the_budget_for_crashes_untouched(rig: MakeRig) -> None:
    async def scene(r: Rig) -> None:
        await r.recognising()
        r.launcher.script.lost_after_s = 0.0
        r.worker.fail("SourceLost", "gone", 69)
        await asyncio.sleep(20)
        r.launcher.script.lost_after_s = None
        await r.recognising()
        r.worker.crash()
        await r.until(lambda: "restart 1 of 2" in r.reasons, 1.0)
        await r.recognising()

    rig(live=True, budget=Budget(restarts=2)).play(scene)


def test_a_camera_that_was_never_there_is_awaited_and_used_when_it_comes(rig: MakeRig) -> None:
    async def scene(r: Rig) -> None:
        r.launcher.script.lost_after_s = 5.0
        await asyncio.sleep(60)
        assert r.state is not State.RECOGNISING
        assert State.RECOGNISING.value not in {s.state for s in r.hub.states()}
        r.launcher.script.lost_after_s = None
        await r.until(lambda: r.state is State.RECOGNISING, 15.0)

    rig(live=True).play(scene)


def test_a_stop_while_the_camera_is_away_keeps_its_worker_away_too(rig: MakeRig) -> None:
    async def scene(r: Rig) -> None:
        await r.recognising()
        r.launcher.script.lost_after_s = 0.0
        r.worker.fail("SourceLost", "gone", 69)
        await asyncio.sleep(10)
        r.hub.command("stop")
        await asyncio.sleep(6)
        lives = len(r.launcher.workers)
        await asyncio.sleep(30)
        assert len(r.launcher.workers) == lives
        r.launcher.script.lost_after_s = None
        r.hub.command("resume")
        await r.until(lambda: r.state is State.RECOGNISING, 15.0)

    rig(live=True).play(scene)


def test_one_bad_camera_never_stops_another(rig: MakeRig) -> None:
    async def scene(r: Rig) -> None:
        await r.recognising()
        await r.until(lambda: len(r.launcher.workers) == 2)
        good = r.launcher.of("front")
        r.launcher.of("rear").crash()
        await asyncio.sleep(3)
        assert good.running
        assert r.state is State.RECOGNISING
        assert r.launcher.of("rear").running

    rig(live=True, cameras=("front", "rear")).play(scene)


@pytest.mark.slow
def test_counts_add_up_over_the_lives_of_a_live_cameras_workers(rig: MakeRig) -> None:
    async def scene(r: Rig) -> Any:
        await r.recognising()
        r.worker.passers_by(5)
        r.worker.raise_candidate(1)
        r.worker.counters.faces_seen += 2
        r.worker.counters.open_passages = 2
        await asyncio.sleep(1)
        r.worker.crash()
        await r.until(lambda: len(r.launcher.workers) == 2)
        await r.recognising()
        r.worker.passers_by(3)
        await asyncio.sleep(65)
        stats = r.hub.last(messages.Stats)
        assert (stats.faces_seen, stats.discarded, stats.lost, stats.alerts, stats.open_passages) == (11, 8, 2, 1, 0)
        return await r.outcome()

    summary = rig(live=True, window_s=100).play(scene).summary
    assert summary["balanced"]
    assert (summary["faces_seen"], summary["discarded"], summary["lost"], summary["alerted"]) == (11, 8, 2, 1)


def test_a_crash_over_a_recording_ends_the_run_with_70_and_counts_nobody_twice(rig: MakeRig) -> None:
    async def scene(r: Rig) -> Any:
        await r.recognising()
        r.worker.passers_by(5)
        r.worker.raise_candidate(1)
        r.worker.counters.faces_seen += 2
        await asyncio.sleep(0.5)
        r.worker.crash()
        return await r.outcome()

    r = rig()
    outcome = r.play(scene)
    assert outcome.exit_status == 70
    assert "signal 11" in outcome.summary["faults"]["front"]
    assert outcome.summary["balanced"]
    assert (outcome.summary["faces_seen"], outcome.summary["lost"], outcome.summary["alerted"]) == (8, 2, 1)
    receipts = {e.method: e.count for e in r.hub.receipts() if e.what == "template"}
    assert receipts == {"zeroed": 5, "process_ended": 2}
    assert len(r.launcher.workers) == 1
    assert len({a.alert_id for a in r.hub.alerts()}) == 1
    assert not (r.place / "watchlist.age").exists()
    assert not r.lines.sign_driven


def test_a_crash_over_one_recording_lets_the_other_finish_and_is_reported_at_the_end(rig: MakeRig) -> None:
    async def scene(r: Rig) -> Any:
        await r.recognising()
        await r.until(lambda: len(r.launcher.workers) == 2)
        await asyncio.sleep(1)
        r.launcher.of("rear").crash()
        await asyncio.sleep(2)
        assert r.state is State.RECOGNISING
        r.launcher.of("front").finish()
        return await r.outcome()

    outcome = rig(cameras=("front", "rear")).play(scene)
    assert outcome.exit_status == 70
    assert list(outcome.summary["faults"]) == ["rear"]


def test_an_engine_that_differs_from_its_golden_tensors_recognises_nobody(rig: MakeRig) -> None:
    async def scene(r: Rig) -> None:
        r.launcher.script.self_test = "sface differs from the reference: template by 0.5"
        await r.until(lambda: "sface differs" in r.service.last_status)
        assert r.state is State.INHIBITED
        assert "golden tensors" in r.service.last_status
        r.hub.command("stop")

    rig().play(scene)


def test_a_worker_that_dies_before_it_has_a_watchlist_ends_with_its_fault_and_erases_nothing(rig: MakeRig) -> None:
    async def scene(r: Rig) -> None:
        r.launcher.script.hello_s = 100.0
        await r.until(lambda: bool(r.launcher.workers))
        r.worker.fail("EngineUnavailable", "run `lfr engines prepare`", 69)
        await r.outcome()

    r = rig()
    with pytest.raises(Unavailable, match="lfr engines prepare"):
        r.play(scene)
    assert (r.place / "watchlist.age").exists()


@pytest.mark.parametrize("live", [False, True])
def test_a_recording_is_given_more_time_to_start_than_a_camera(rig: MakeRig, live: bool) -> None:
    async def scene(r: Rig) -> int:
        r.launcher.script.hello_s = 100.0
        await r.until(lambda: r.is_in(State.RECOGNISING) or len(r.launcher.workers) > 1, 150.0)
        return len(r.launcher.workers)

    assert rig(live=live).play(scene) == (2 if live else 1)


def test_a_recording_is_given_more_time_to_beat_than_a_camera(rig: MakeRig) -> None:
    async def scene(r: Rig) -> Any:
        await r.recognising()
        r.worker.silent = True
        await asyncio.sleep(8)
        r.worker.silent = False
        await asyncio.sleep(1)
        assert r.state is State.RECOGNISING
        r.worker.silent = True
        return await r.outcome()

    outcome = rig().play(scene)
    assert outcome.exit_status == 70
    assert "no beat within 10 s" in outcome.summary["faults"]["front"]


def test_a_dark_camera_inhibits_and_its_worker_stays_to_see_it_return(rig: MakeRig) -> None:
    async def scene(r: Rig) -> None:
        await r.recognising()
        r.worker.view = "dark"
        assert await r.until(lambda: r.state is State.INHIBITED) < 1.0
        assert r.worker.running
        assert r.lines.sign_driven
        r.worker.view = "online"
        await r.recognising()
        assert len(r.launcher.workers) == 1

    rig().play(scene)


def test_a_live_source_that_ends_is_a_failure_and_not_the_end(rig: MakeRig) -> None:
    async def scene(r: Rig) -> None:
        r.clock.is_synchronised = True
        await r.recognising()
        r.worker.finish("gone")
        await r.until(lambda: r.state is State.INHIBITED, 1.0)
        assert "the source ended" in r.reasons
        await r.recognising()

    rig(live=True).play(scene)


def test_a_workers_text_is_a_journal_line_with_its_cameras_name(rig: MakeRig, caplog: pytest.LogCaptureFixture) -> None:
    async def scene(r: Rig) -> None:
        await r.recognising()
        r.worker.say(JournalLine(level=Level.WARNING, text=journal_text("slow", 120, 250, 10, "embed", 61.25)))
        await asyncio.sleep(1)

    with caplog.at_level("INFO"):
        rig().play(scene)
    (line,) = [message for message in caplog.messages if message.startswith("worker.journal")]
    assert line.startswith('worker.journal camera=front text="too slow: 120 of 250 frames dropped in 10 s; the slowest')


@pytest.mark.parametrize(("live", "lease_s"), [(True, 1.0), (False, 10.0)])
def test_the_loop_renews_the_lease_of_each_worker_several_times_a_lease(
    rig: MakeRig, live: bool, lease_s: float
) -> None:
    async def scene(r: Rig) -> list[int]:
        await r.recognising()
        await asyncio.sleep(10)
        assert r.worker.assignment.lease_s == lease_s
        renewed: list[int] = r.worker.leased_ns
        return renewed

    renewed = rig(live=live).play(scene)
    pauses = [(later - earlier) / NS_PER_S for earlier, later in pairwise(renewed)]
    assert len(pauses) > 20
    assert max(pauses) <= 0.4


def test_a_loop_that_hangs_renews_no_lease(rig: MakeRig, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene(r: Rig) -> int:
        await r.recognising()

        async def hangs() -> None:
            await asyncio.sleep(30)

        monkeypatch.setattr(r.device.supervisor, "rest", hangs)
        await asyncio.sleep(0.5)
        before = len(r.worker.leased_ns)
        await asyncio.sleep(20)
        return len(r.worker.leased_ns) - before

    assert rig(live=True).play(scene) == 0, "nothing but the loop that evaluates the conditions renews it"
