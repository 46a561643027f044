"""What the device says of itself to the hub and the service manager. On fakes and virtual time."""

from __future__ import annotations

import asyncio

from device.hub_api import messages
from device.supervisor.conditions.snapshot import CameraView
from device.supervisor.state_machine import State
from device.supervisor.timing import STATE_DETAILS_S, STATUS_S
from tests.sim.rig import MakeRig, Rig


def test_the_hub_sees_every_condition_and_why_the_device_is_inhibited(rig: MakeRig) -> None:
    async def scene(r: Rig) -> None:
        await r.recognising()
        r.hub.command("stop")
        await asyncio.sleep(2)
        state = r.hub.last(messages.DeviceState)
        assert state.state == "inhibited"
        assert any("STOP" in reason for reason in state.inhibit_reasons)
        assert {c.result for c in state.conditions} >= {"holds", "fails"}
        assert all(c.rule.startswith("R") for c in state.conditions)
        assert state.lamps is not None
        assert state.lamps.fault
        assert r.service.last_status.startswith("inhibited, ")

    rig().play(scene)


def test_a_condition_that_is_not_known_yet_is_pending_and_not_failing(rig: MakeRig) -> None:
    async def scene(r: Rig) -> None:
        r.launcher.script.hello_s = 3.0
        await r.until(lambda: r.state is State.ARMED)
        await asyncio.sleep(1)
        state = r.hub.last(messages.DeviceState)
        read = {c.name: c.result for c in state.conditions}
        assert (read["watchlist loaded"], read["camera live"], read["deployment loaded"]) == (
            "pending",
            "pending",
            "holds",
        )
        assert state.inhibit_reasons == []
        await r.recognising()
        await asyncio.sleep(1)
        assert "pending" not in {c.result for c in r.hub.last(messages.DeviceState).conditions}

    rig().play(scene)


def test_a_flickering_device_does_not_flood_the_hub_or_the_service_manager(rig: MakeRig) -> None:
    async def scene(r: Rig) -> None:
        await r.recognising()
        await asyncio.sleep(3)
        before, lines = len(r.hub.states()), len(r.service.said)
        r.launcher.script.hello_s = 20.0
        for n in range(100):
            r.device.supervisor.requests.stop = f"button {n}"
            await asyncio.sleep(0.1)
        assert len(r.hub.states()) - before <= 10 / STATE_DETAILS_S + 4
        assert len(r.service.said) - lines <= 10 / STATUS_S + 4
        r.device.supervisor.requests.stop = "the last word"
        await asyncio.sleep(2)
        assert "the last word" in r.service.last_status
        assert "the last word" in r.hub.last(messages.DeviceState).inhibit_reasons[0]

    rig().play(scene)


def test_a_new_state_is_published_at_once(rig: MakeRig) -> None:
    async def scene(r: Rig) -> None:
        await r.recognising()
        await asyncio.sleep(0.15)
        assert r.hub.last(messages.DeviceState).state == "recognising"
        assert r.service.undisturbed
        r.hub.command("stop")
        await r.until(lambda: r.state is State.INHIBITED)
        await asyncio.sleep(0.15)
        assert r.hub.last(messages.DeviceState).state == "inhibited"
        assert r.service.last_status.startswith("inhibited")

    rig().play(scene)


def test_counts_move_at_the_hub_while_people_pass_and_are_silent_while_nobody_does(rig: MakeRig) -> None:
    async def scene(r: Rig) -> None:
        await r.recognising()
        await asyncio.sleep(2)
        before = len(r.hub.all(messages.Stats))
        for _ in range(4):
            r.worker.passers_by(1)
            await asyncio.sleep(1.2)
        seen = [s.faces_seen for s in r.hub.all(messages.Stats)[before:]]
        assert seen == sorted(seen)
        assert (len(seen), seen[-1]) == (4, 4)
        before = len(r.hub.all(messages.Stats))
        await asyncio.sleep(30)
        assert len(r.hub.all(messages.Stats)) == before
        assert not any(topic.endswith("/stats") for topic in r.exchange.retained)

    rig().play(scene)


def test_every_camera_state_is_published_on_its_own_topic(rig: MakeRig) -> None:
    async def scene(r: Rig) -> None:
        await r.recognising()
        await asyncio.sleep(1)
        r.worker.view = "frozen"
        await asyncio.sleep(1)
        output = [m.status for m in map(_data, r.hub.received) if isinstance(m, messages.CameraStatus)]
        assert output[0] == "offline"
        assert output[-2:] == ["online", "frozen"]

    rig().play(scene)


def test_after_a_new_session_the_device_is_born_again_and_repeats_what_is_retained(rig: MakeRig) -> None:
    async def scene(r: Rig) -> None:
        await r.recognising()
        r.exchange.go_down()
        await asyncio.sleep(1)
        r.exchange.come_up()
        await asyncio.sleep(1)
        births = [m for m in map(_data, r.hub.received) if isinstance(m, messages.Birth)]
        assert births[-1].bd_seq == 2
        base = "lfr/v1/demo/cam-1"
        retained = {t.removeprefix(base) for t in r.exchange.retained if t.startswith(base)}
        assert retained == {
            "/status",
            "/birth",
            "/state",
            "/health",
            "/audit",
            "/identity",
            "/camera/front/status",
            "/watchlist/state",
        }

    rig().play(scene)


def test_the_watchdog_is_fed_while_the_device_waits(rig: MakeRig) -> None:
    async def scene(r: Rig) -> None:
        await asyncio.sleep(10)
        assert r.service.beats >= 9
        assert r.service.is_ready

    rig(operator=False).play(scene)


def test_views_cover_every_word_of_a_beat() -> None:
    assert {"online", "frozen", "dark", "offline", "ended"} <= {view.value for view in CameraView}


def _data(received: tuple[str, bytes]) -> object:
    from device.hub_api import events

    return None if received[0].endswith("/probe") else events.decode(received[1]).data
