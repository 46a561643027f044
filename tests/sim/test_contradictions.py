"""One entry on two people at once, from the worker to the hub: each alert names the other until one is judged."""

from __future__ import annotations

import asyncio

from device.hub_api import messages
from tests.sim.rig import MakeRig, Rig


def latest(r: Rig) -> dict[int, messages.Alert]:
    """Newest statement of each passage's alert at the hub."""
    newest: dict[int, messages.Alert] = {}
    for alert in r.hub.alerts():
        if alert.track.id not in newest or alert.revision >= newest[alert.track.id].revision:
            newest[alert.track.id] = alert
    return newest


def named(r: Rig, passage: int) -> set[int]:
    """Passages whose alerts this passage's alert names."""
    by_id = {alert.alert_id: track for track, alert in latest(r).items()}
    return {by_id[each.alert_id] for each in latest(r)[passage].contradicted_by}


def test_two_alerts_for_one_entry_at_once_name_each_other(rig: MakeRig) -> None:
    async def scene(r: Rig) -> None:
        await r.recognising()
        r.worker.raise_candidate(7)
        await asyncio.sleep(0.5)
        assert named(r, 7) == set()
        probe = latest(r)[7].probe
        r.worker.raise_candidate(8, rivals=(7,))
        await asyncio.sleep(1)
        assert (named(r, 7), named(r, 8)) == ({8}, {7})
        output = latest(r)[7].contradicted_by[0]
        assert output.text == "same_entry_on_two_people_at_once_at_most_one_can_be_right"
        assert output.camera_id == latest(r)[8].camera_id
        assert latest(r)[7].probe == probe, "the rest of the alert stays"
        r.worker.raise_candidate(9, rivals=(7, 8))
        await asyncio.sleep(1)
        assert (named(r, 7), named(r, 8), named(r, 9)) == ({8, 9}, {7, 9}, {7, 8})

    rig().play(scene)


def test_an_alert_of_another_entry_or_of_a_passage_that_raised_none_is_not_named(rig: MakeRig) -> None:
    async def scene(r: Rig) -> None:
        await r.recognising()
        r.worker.raise_candidate(7, entry="e-2")
        r.worker.raise_candidate(8, rivals=(7, 99))
        await asyncio.sleep(1)
        assert (named(r, 7), named(r, 8)) == (set(), set())

    rig().play(scene)


def test_an_alert_that_turns_to_another_entry_is_named_no_longer(rig: MakeRig) -> None:
    async def scene(r: Rig) -> None:
        await r.recognising()
        r.worker.raise_candidate(7)
        r.worker.raise_candidate(8, rivals=(7,))
        await asyncio.sleep(1)
        r.worker.raise_candidate(8, revision=1, entry="e-2", score=0.8)
        await asyncio.sleep(1)
        assert (named(r, 7), named(r, 8)) == (set(), set())

    rig().play(scene)


def test_when_one_is_judged_false_the_other_names_it_no_longer(rig: MakeRig) -> None:
    async def scene(r: Rig) -> None:
        await r.recognising()
        r.worker.raise_candidate(7)
        r.worker.raise_candidate(8, rivals=(7,))
        await asyncio.sleep(1)
        false = latest(r)[7].alert_id
        r.hub.judge(false, "false_alert")
        await asyncio.sleep(1)
        assert latest(r)[8].contradicted_by == []
        assert false not in r.outbox.alerts_held()
        r.worker.raise_candidate(8, revision=1, score=0.8, rivals=(7,))
        await asyncio.sleep(1)
        assert latest(r)[8].contradicted_by == []

    rig().play(scene)


def test_an_alert_states_that_its_picture_was_damaged(rig: MakeRig) -> None:
    async def scene(r: Rig) -> None:
        await r.recognising()
        r.worker.raise_candidate(7)
        r.worker.raise_candidate(8, picture_damaged=True)
        await asyncio.sleep(1)
        assert (latest(r)[7].picture_damaged, latest(r)[8].picture_damaged) == (False, True)

    rig().play(scene)
