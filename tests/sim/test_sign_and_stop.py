"""No lit sign, no sight; no operator, no sight; STOP means stop. The whole supervisor on fakes and virtual time."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from device.domain.conditions import ConditionName
from device.hub_api import messages
from device.supervisor.sign import monitor
from device.supervisor.state_machine import State
from tests.sim.rig import MakeRig, Rig


def test_nothing_recognises_before_the_sign_is_sensed_lit(rig: MakeRig) -> None:
    async def scene(r: Rig) -> None:
        r.lines.lamp_works = False
        await asyncio.sleep(10)
        assert r.state is State.READY
        assert r.launcher.workers == []
        assert "not seen dark and then lit" in r.reasons
        r.lines.lamp_works = True
        await r.recognising()
        assert r.lines.sign_sensed()

    rig().play(scene)


@pytest.mark.parametrize(("changes", "enough"), [({}, True), ({"live": True}, False), ({"mode": "operational"}, False)])
def test_a_simulated_operator_lets_no_live_or_operational_device_recognise(
    rig: MakeRig, changes: dict[str, Any], enough: bool
) -> None:
    async def scene(r: Rig) -> None:
        r.hub.operator(False, simulated=True)
        await asyncio.sleep(10)
        assert (r.state is State.RECOGNISING) is enough
        assert bool(r.launcher.workers) is enough
        r.hub.operator(True)
        await r.recognising()

    rig(operator=False, **changes).play(scene)


def test_a_sign_that_was_never_dark_proves_nothing(rig: MakeRig) -> None:
    async def scene(r: Rig) -> None:
        r.lines.stray_light = True
        await asyncio.sleep(10)
        assert r.is_in(State.READY)
        assert not r.lines.sign_driven
        assert "sunlight" in r.reasons

    rig().play(scene)


def test_recognition_stops_within_a_second_of_a_dark_sign(rig: MakeRig) -> None:
    async def scene(r: Rig) -> None:
        await r.recognising()
        r.lines.lamp_works = False
        took = await r.until(lambda: not r.worker.running)
        assert took < 1.0
        assert r.state is State.INHIBITED
        r.lines.lamp_works = True
        await r.recognising()
        assert len(r.launcher.workers) == 2

    rig().play(scene)


def test_recognition_stops_within_a_second_even_when_the_worker_ignores_stop(rig: MakeRig) -> None:
    async def scene(r: Rig) -> None:
        await r.recognising()
        r.launcher.script.deaf = True
        r.lines.lamp_works = False
        assert await r.until(lambda: not r.worker.running) < 1.0

    rig().play(scene)


def test_lines_that_do_not_answer_stop_recognition(rig: MakeRig) -> None:
    async def scene(r: Rig) -> None:
        await r.recognising()
        r.lines.failing = True
        assert await r.until(lambda: not r.worker.running) < 1.0
        r.lines.failing = False
        await r.recognising()

    rig().play(scene)


def test_sign_stays_on_until_worker_has_exited(rig: MakeRig) -> None:
    async def scene(r: Rig) -> None:
        await r.recognising()
        r.launcher.script.lingers_s = 1.5
        r.hub.operator(False)
        while r.worker.running:
            assert r.lines.sign_driven
            await asyncio.sleep(0.01)
        await r.until(lambda: not r.lines.sign_driven, 1.0)

    rig().play(scene)


def test_without_an_operator_nobody_is_recognised(rig: MakeRig) -> None:
    async def scene(r: Rig) -> None:
        await asyncio.sleep(5)
        assert r.is_in(State.READY)
        assert not r.lines.sign_driven
        r.hub.operator(True)
        await r.recognising()
        r.hub.operator(False)
        assert await r.until(lambda: not r.worker.running) < 1.0
        assert r.state is State.INHIBITED
        assert "operator" in r.reasons

    rig(operator=False).play(scene)


def test_a_short_gap_of_the_hub_is_bridged_and_a_long_one_inhibits(rig: MakeRig) -> None:
    async def scene(r: Rig) -> None:
        await r.recognising()
        r.exchange.kill("hub")
        await asyncio.sleep(4)
        assert r.state is State.RECOGNISING
        took = await r.until(lambda: r.state is State.INHIBITED)
        assert took < 1.5

    rig().play(scene)


@pytest.mark.parametrize("who", ["button", "hub"])
def test_stop_ends_recognition_and_lasts_until_resume(rig: MakeRig, who: str) -> None:
    async def scene(r: Rig) -> None:
        await r.recognising()
        r.lines.press_stop() if who == "button" else r.hub.command("stop")
        assert await r.until(lambda: not r.worker.running) < 1.0
        await asyncio.sleep(5)
        assert r.state is State.INHIBITED
        assert "STOP" in r.reasons
        assert not r.lines.sign_driven
        r.hub.command("resume")
        await r.recognising()

    rig().play(scene)


@pytest.mark.slow
def test_sunlight_on_a_dead_lamp_is_refused_until_the_sensor_has_seen_dark_again(rig: MakeRig) -> None:
    async def scene(r: Rig) -> None:
        await r.recognising()
        r.lines.stray_light = True
        r.lines.lamp_works = False
        await r.until(lambda: r.state is State.INHIBITED, 31.0)
        assert "does not follow its pulse (sensed lit in 3 of 3 dark slots)" in r.reasons
        await r.until(lambda: not r.lines.sign_driven, 1.0)
        await asyncio.sleep(60)
        assert r.state is State.INHIBITED
        assert not r.lines.sign_driven
        assert "switched off and sensed lit" in r.reasons
        r.lines.stray_light = False
        await asyncio.sleep(60)
        assert r.state is State.INHIBITED
        r.lines.lamp_works = True
        await r.recognising()
        counts = r.device.supervisor.sign.counts
        assert (counts.stops, counts.pulses_failed) == (1, 2)

    rig().play(scene)


def test_nobody_is_recognised_before_the_first_pulse_was_followed(rig: MakeRig) -> None:
    async def scene(r: Rig) -> None:
        r.lines.lag_s = 0.06
        await asyncio.sleep(40)
        assert r.state is State.READY
        assert r.launcher.workers == []
        assert r.device.supervisor.sign.counts.pulses_failed >= 4
        r.lines.lag_s = 0.01
        await r.until(lambda: r.state is State.RECOGNISING, 90.0)
        assert r.device.supervisor.sign.counts.pulses_failed < r.device.supervisor.sign.counts.pulses

    rig().play(scene)


def test_a_sign_that_cannot_pulse_pauses_recognition_to_prove_itself(
    rig: MakeRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(monitor, "REPROOF_S", 60.0)

    async def scene(r: Rig) -> None:
        await r.recognising()
        began = r.loop.time()
        await r.until(lambda: r.state is State.INHIBITED, 80.0)
        assert r.loop.time() - began > 50
        assert "cannot follow pulses" in r.reasons
        await r.until(lambda: not r.lines.sign_driven, 1.0)
        await r.until(lambda: r.state is State.RECOGNISING, 10.0)
        assert len(r.launcher.workers) == 2
        assert r.device.supervisor.sign.counts.pulses == 0
        texts = {evaluation.condition.name: evaluation.text for evaluation in r.device.supervisor.evaluations}
        assert "follows no pulse" in texts[ConditionName.SIGN_FOLLOWS_ITS_PULSE]

    rig(sign_kind="discharge").play(scene)


def test_resume_does_not_undo_a_stop_contact_that_is_still_open(rig: MakeRig) -> None:
    async def scene(r: Rig) -> None:
        await r.recognising()
        r.lines.stop_held = True
        r.lines.press_stop()
        await r.until(lambda: r.state is State.INHIBITED, 1.0)
        r.hub.command("resume")
        await asyncio.sleep(5)
        assert r.state is State.INHIBITED
        assert "STOP" in r.reasons
        r.lines.stop_held = False
        r.hub.command("resume")
        await r.recognising()

    rig().play(scene)


def test_a_hot_machine_is_inhibited_until_it_has_cooled_for_good(rig: MakeRig) -> None:
    async def scene(r: Rig) -> None:
        await r.recognising()
        r.warm(100.5)
        await r.until(lambda: r.state is State.INHIBITED, 1.0)
        assert "tj-thermal 100.5 °C, limit 100.0" in r.reasons
        r.warm(98.0)
        await asyncio.sleep(5)
        assert r.state is State.INHIBITED, "cooler, but not by enough"
        r.warm(94.0)
        await r.recognising()

    rig(live=True).play(scene)


@pytest.mark.slow
def test_dark_seconds_stops_and_pulses_reach_the_hub(rig: MakeRig) -> None:
    async def scene(r: Rig) -> None:
        await r.recognising()
        r.launcher.script.lingers_s = 0.4
        r.lines.lamp_works = False
        await r.until(lambda: r.state is State.INHIBITED, 1.0)
        await asyncio.sleep(3)
        r.lines.lamp_works = True
        await r.recognising()
        await asyncio.sleep(70)
        stats = r.hub.last(messages.Stats)
        assert (stats.sign_stops, stats.sign_pulses_failed) == (1, 0)
        assert 300 <= stats.sign_dark_ms <= 500
        assert stats.sign_pulses >= 3
        health = r.hub.last(messages.Health)
        assert health.sign == messages.SignHealth(
            driven=True, sensed=True, proved=True, follows=True, lag_ms=health.sign.lag_ms
        )
        assert (health.throttled, health.temperature_c) == (False, {"tj-thermal": 50.0})

    rig().play(scene)


def test_every_refusal_and_every_move_is_an_event_with_its_rule(rig: MakeRig, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    async def scene(r: Rig) -> None:
        await r.recognising()
        r.hub.command("stop")
        await r.until(lambda: r.state is State.INHIBITED, 1.0)
        await asyncio.sleep(2)
        r.hub.command("resume")
        await r.recognising()

    rig().play(scene)
    output = [record.getMessage() for record in caplog.records]
    stopped = [line for line in output if line.startswith("condition.fails") and "no STOP" in line]
    assert [line.split()[0] for line in stopped] == ["condition.fails", "condition.fails_no_more"]
    assert all("rule=R13" in line for line in stopped)
    assert "the hub sent stop" in stopped[0]
    moves = [line for line in output if line.startswith("state was=recognising")]
    assert "now=inhibited" in moves[0]
    assert "rule=R13" in moves[0]


def test_a_flapping_row_is_reported_once_a_second_and_so_is_its_last_state(
    rig: MakeRig, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)

    async def scene(r: Rig) -> None:
        await r.recognising()
        await asyncio.sleep(2)
        caplog.clear()
        for n in range(100):
            r.clock.is_synchronised = bool(n % 2)
            await asyncio.sleep(0.1)

    rig(live=True).play(scene)
    reported = [r.getMessage() for r in caplog.records if 'condition="clock trusted"' in r.getMessage()]
    assert 5 <= len(reported) <= 12
    assert sum(line.endswith("changes=11") for line in reported) >= 4


FAULT = st.sampled_from(("lamp_works", "wire_cut", "flicker_s", "failing", "lag_s"))
BROKEN = {"lamp_works": False, "wire_cut": True, "flicker_s": 0.11, "failing": True, "lag_s": 0.2}


@pytest.mark.slow
@settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(st.lists(st.tuples(FAULT, st.floats(0.05, 8.0), st.floats(0.05, 4.0)), min_size=1, max_size=4))
def test_nobody_is_looked_at_under_a_sign_that_was_dark_for_a_second(
    rig: MakeRig, tmp_path_factory: pytest.TempPathFactory, faults: list[tuple[str, float, float]]
) -> None:
    async def scene(r: Rig) -> None:
        await r.recognising()
        whole = {name: getattr(r.lines, name) for name in BROKEN}
        dark_since = r.loop.time()
        for name, for_s, rest_s in faults:
            for value, duration_s in ((BROKEN[name], for_s), (whole[name], rest_s)):
                setattr(r.lines, name, value)
                until = r.loop.time() + duration_s
                while r.loop.time() < until:
                    dark_since = r.loop.time() if r.lines.lamp_shines else dark_since
                    if r.loop.time() - dark_since > 1.0:
                        assert not any(worker.running for worker in r.launcher.workers)
                        assert r.state is not State.RECOGNISING
                    await asyncio.sleep(0.01)

    rig(folder=tmp_path_factory.mktemp("device")).play(scene)
