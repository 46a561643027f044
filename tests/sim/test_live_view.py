"""The live view on a whole device: off by default, asked for by a signed command, over at its time, never stored."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from device.audit.log import lines_of
from device.audit.rows import read
from device.domain.audit_record import Record
from device.domain.time import wall
from device.hub_api import messages
from device.hub_api.topics import DeviceTopics
from device.supervisor.state_machine import State
from device.wire.link import View, ViewPicture
from tests.commands import a_command
from tests.sim.rig import RECIPIENT, MakeRig, Rig

SEALED = b"age-encryption.org/v1 " + b"coarse cells " * 40
TOPIC = DeviceTopics("demo", "cam-1").view("front")


def rows(r: Rig) -> list[Record]:
    return [read(line[:-1]).record for line in lines_of(r.folder / "state" / "audit" / "audit.jsonl")]


def view(r: Rig, lasts_s: float = 300.0, recipient: str | None = RECIPIENT) -> messages.Command:
    return a_command(r.hub.folder, "view", r.clock.wall(), recipient=recipient, good_for_s=lasts_s)


def reading(r: Rig) -> messages.LiveViewReading:
    found = r.hub.all(messages.DeviceState)[-1].live_view
    assert isinstance(found, messages.LiveViewReading)
    return found


async def showing(r: Rig) -> messages.Command:
    await r.recognising()
    asked = view(r)
    r.hub.send(asked)
    await r.until(lambda: bool(r.worker.views))
    return asked


def test_it_is_off_unless_the_devices_own_configuration_allows_it(rig: MakeRig) -> None:
    async def scene(r: Rig) -> None:
        await r.recognising()
        r.hub.send(view(r))
        await asyncio.sleep(3)
        assert r.hub.replies() == [("view", "refused")]
        assert r.worker.views == []
        r.worker.say(ViewPicture(sealed=SEALED))
        await asyncio.sleep(1)
        assert not any(topic == TOPIC for topic, _ in r.hub.received)
        assert reading(r) == messages.LiveViewReading(allowed=False)

    rig().play(scene)


@pytest.mark.slow
def test_a_signed_view_is_shown_to_its_recipient_until_its_time_and_stands_in_state_status_and_audit_log(
    rig: MakeRig,
) -> None:
    async def scene(r: Rig) -> None:
        asked = await showing(r)
        assert r.worker.views[-1] == View(recipient=RECIPIENT)
        r.worker.say(ViewPicture(sealed=SEALED))
        await r.until(lambda: (TOPIC, SEALED) in r.hub.received)
        sent = next(m for m in r.exchange.log if m.topic == TOPIC)
        assert (sent.qos, sent.retain, sent.expiry_s) == (0, False, 3)
        await r.until(lambda: reading(r).until is not None)
        assert (reading(r).allowed, reading(r).until, reading(r).given_by) == (True, asked.expires_at, None)
        await asyncio.sleep(2)
        status = json.loads((r.folder / "status.json").read_text())
        assert (status["live_view"]["until"], status["live_view"]["given_by"]) == (asked.expires_at, "op-1")
        await asyncio.sleep(300)
        assert r.worker.views[-1] == View(recipient=None)
        r.worker.say(ViewPicture(sealed=SEALED))
        await asyncio.sleep(1)
        assert sum(topic == TOPIC for topic, _ in r.hub.received) == 1
        assert reading(r) == messages.LiveViewReading(allowed=True)

    r = rig(live_view=True)
    r.play(scene)
    found = [(row.event, row.officer) for row in rows(r) if row.what == "view"]
    assert found == [("began", "op-1"), ("expired", "op-1")]


def test_end_view_ends_it_at_once(rig: MakeRig) -> None:
    async def scene(r: Rig) -> None:
        await showing(r)
        r.hub.command("end-view", given_by="op-2")
        await r.until(lambda: r.worker.views[-1] == View(recipient=None))

    r = rig(live_view=True)
    r.play(scene)
    assert [(row.event, row.officer) for row in rows(r) if row.what == "view"] == [("began", "op-1"), ("ended", "op-2")]


@pytest.mark.parametrize("wrong", [{"recipient": None}, {"lasts_s": 3600.0}, {"lasts_s": -1.0}])
def test_without_a_recipient_for_too_long_or_too_late_it_is_refused(rig: MakeRig, wrong: dict[str, Any]) -> None:
    async def scene(r: Rig) -> None:
        await r.recognising()
        r.hub.send(view(r, **wrong))
        await asyncio.sleep(3)
        assert r.hub.replies() == [("view", "refused")]
        assert r.worker.views == []

    rig(live_view=True).play(scene)


def test_the_recipient_is_under_the_signature(rig: MakeRig) -> None:
    async def scene(r: Rig) -> None:
        import msgspec

        await r.recognising()
        r.hub.send(msgspec.structs.replace(view(r), recipient="age1" + "p" * 58))
        await asyncio.sleep(3)
        assert r.hub.replies() == []
        assert r.worker.views == []

    rig(live_view=True).play(scene)


def test_workers_that_send_more_than_they_should_are_cut_and_recognition_goes_on(rig: MakeRig) -> None:
    async def scene(r: Rig) -> None:
        await showing(r)
        for _ in range(50):
            r.worker.say(ViewPicture(sealed=SEALED))
        await asyncio.sleep(1)
        assert sum(topic == TOPIC for topic, _ in r.hub.received) == 1
        assert r.state is State.RECOGNISING

    rig(live_view=True).play(scene)


def test_pictures_are_dropped_without_a_session_and_nothing_of_them_is_on_the_disk(rig: MakeRig) -> None:
    async def scene(r: Rig) -> None:
        await showing(r)
        r.worker.say(ViewPicture(sealed=SEALED))
        await r.until(lambda: (TOPIC, SEALED) in r.hub.received)
        r.exchange.go_down()
        await asyncio.sleep(1)
        r.worker.say(ViewPicture(sealed=SEALED))
        await asyncio.sleep(1)
        r.exchange.come_up()
        await asyncio.sleep(5)
        assert sum(topic == TOPIC for topic, _ in r.hub.received) == 1
        assert kept_in(r.folder) == []

    rig(live_view=True).play(scene)


def kept_in(folder: Path) -> list[str]:
    return [file.name for file in folder.rglob("*") if file.is_file() and b"coarse cells" in file.read_bytes()]


def test_a_view_that_is_to_come_is_refused(rig: MakeRig) -> None:
    async def scene(r: Rig) -> None:
        await r.recognising()
        later = wall(r.clock.wall() + timedelta(hours=1))
        r.hub.send(a_command(r.hub.folder, "view", later, recipient=RECIPIENT, good_for_s=300))
        await asyncio.sleep(2)
        assert r.hub.replies() == [("view", "refused")]

    rig(live_view=True).play(scene)


def test_a_view_that_another_one_replaces_has_an_end_of_its_own_in_the_audit_log(rig: MakeRig) -> None:
    async def scene(r: Rig) -> None:
        await showing(r)
        second = a_command(r.hub.folder, "view", r.clock.wall(), recipient=RECIPIENT, good_for_s=300.0, given_by="op-2")
        r.hub.send(second)
        await r.until(lambda: r.hub.replies() == [("view", "done"), ("view", "done")])
        r.hub.command("end-view")
        await r.until(lambda: len(r.hub.replies()) == 3)

    r = rig(live_view=True)
    r.play(scene)
    found = [(row.event, row.officer) for row in rows(r) if row.what == "view"]
    assert found[:3] == [("began", "op-1"), ("replaced", "op-1"), ("began", "op-2")]
    assert found[3][0] == "ended"
