"""The hub's commands on a whole device: signed, obeyed once, answered, and in the audit log with who gave them."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from device.audit.log import lines_of
from device.audit.rows import read
from device.domain.audit_record import Record
from device.domain.time import wall
from device.hub_api import messages
from device.supervisor.state_machine import State
from tests.commands import a_command, issued
from tests.sim.rig import MakeRig, Rig


def rows(r: Rig) -> list[Record]:
    return [read(line[:-1]).record for line in lines_of(r.folder / "state" / "audit" / "audit.jsonl")]


def test_stop_and_resume_are_answered_and_name_who_gave_them(rig: MakeRig) -> None:
    async def scene(r: Rig) -> None:
        await r.recognising()
        r.hub.command("stop", given_by="insp.7")
        await r.until(lambda: r.state is State.INHIBITED)
        r.hub.command("resume", given_by="insp.8")
        await r.recognising()
        assert r.hub.replies() == [("stop", "done"), ("resume", "done")]

    r = rig()
    r.play(scene)
    officers = {row.what: row.officer for row in rows(r) if row.what in ("stop", "resume")}
    assert officers == {"stop": "insp.7", "resume": "insp.8"}


def test_a_retained_command_counts_for_nothing_even_a_stop(rig: MakeRig) -> None:
    async def scene(r: Rig) -> None:
        await r.recognising()
        r.exchange.go_down()
        r.exchange.come_up()
        topic_sent = a_command(r.hub.folder, "stop", r.clock.wall())
        r.exchange.sessions["cam-1"].lost("cut")
        r.hub.send(topic_sent, retain=True)
        r.exchange.sessions["cam-1"].queued.clear()
        r.hub.operator(True)
        r.exchange.sessions["cam-1"].found()
        await r.recognising()
        await asyncio.sleep(3)
        assert r.state is State.RECOGNISING
        assert ("stop", "done") not in r.hub.replies()

    rig().play(scene)


def test_a_repeated_command_is_answered_and_changes_nothing(rig: MakeRig) -> None:
    async def scene(r: Rig) -> None:
        await r.recognising()
        stop = a_command(r.hub.folder, "stop", r.clock.wall())
        r.hub.send(stop)
        await r.until(lambda: r.state is State.INHIBITED)
        r.hub.command("resume")
        await r.recognising()
        r.hub.send(stop)
        await asyncio.sleep(3)
        assert r.state is State.RECOGNISING
        assert r.hub.replies()[-1] == ("stop", "repeated")

    rig().play(scene)


def test_an_expired_stop_is_obeyed_and_an_expired_resume_is_not(rig: MakeRig) -> None:
    async def scene(r: Rig) -> None:
        await r.recognising()
        old = wall(r.clock.wall() - timedelta(hours=3))
        r.hub.send(a_command(r.hub.folder, "stop", old, boot_id="earlier"))
        await r.until(lambda: r.state is State.INHIBITED)
        for at, boot in ((old, "boot"), (wall(r.clock.wall() + timedelta(hours=3)), "boot"), (r.clock.wall(), "other")):
            r.hub.send(a_command(r.hub.folder, "resume", at, boot_id=boot))
        await asyncio.sleep(3)
        assert r.state is State.INHIBITED
        assert r.hub.replies() == [("stop", "done"), *[("resume", "refused")] * 3]

    rig().play(scene)


@pytest.mark.parametrize(
    "forged",
    [
        pytest.param({"pair": "cam-2"}, id="by the certificate of another device"),
        pytest.param({"pair": "other authority"}, id="by a hub of another site's authority"),
        pytest.param({"pair": "server"}, id="by a server's certificate with the hub's name"),
        pytest.param({"given_by": "someone"}, id="changed after it was signed"),
        pytest.param({"name": "resume"}, id="another command under the same signature"),
        pytest.param({"device": "cam-2"}, id="meant for another device"),
        pytest.param({"sig": "AAAA"}, id="with rubbish for a signature"),
        pytest.param({"certificate": "AAAA"}, id="with rubbish for a certificate"),
    ],
)
def test_a_forged_command_is_refused_and_not_answered(rig: MakeRig, forged: dict[str, Any]) -> None:
    pairs = {
        "cam-2": lambda: issued("cam-2"),
        "other authority": lambda: issued("hub", "LFR hub elsewhere"),
        "server": lambda: issued("hub", server=True),
    }

    async def scene(r: Rig) -> None:
        await r.recognising()
        pair = pairs[forged["pair"]]() if "pair" in forged else None
        device = forged.get("device", "cam-1")
        command = a_command(r.hub.folder, "stop", r.clock.wall(), pair, device=device)
        changes = {key: value for key, value in forged.items() if key not in ("pair", "device")}
        r.hub.send(msgspec.structs.replace(command, **changes))
        await asyncio.sleep(3)
        assert r.state is State.RECOGNISING
        assert r.hub.replies() == []

    r = rig()
    r.play(scene)
    refused = [row for row in rows(r) if row.what == "refused" and row.rule == "command"]
    assert len(refused) == 1


def test_an_unsigned_command_as_of_before_is_refused(rig: MakeRig) -> None:
    async def scene(r: Rig) -> None:
        await r.recognising()
        for payload in (b"{}", b"", b"\xff" * 10, b'{"type": "uk.lfr.command.v1"}'):
            r.exchange.route(raw("lfr/v1/demo/cam-1/cmd/stop", payload))
        await asyncio.sleep(3)
        assert r.state is State.RECOGNISING

    def raw(topic: str, payload: bytes) -> Any:
        from tests.broker_vans import message

        return message("t", topic, payload)

    rig().play(scene)


def test_a_stop_counts_although_the_hubs_certificate_has_expired_and_a_resume_does_not(rig: MakeRig) -> None:
    async def scene(r: Rig) -> None:
        await r.recognising()
        old = issued("hub", expired=True)
        r.hub.send(a_command(r.hub.folder, "stop", r.clock.wall(), old))
        await r.until(lambda: r.state is State.INHIBITED)
        r.hub.send(a_command(r.hub.folder, "resume", r.clock.wall(), old))
        await asyncio.sleep(3)
        assert r.state is State.INHIBITED

    rig().play(scene)


def test_what_came_of_an_alert_is_in_the_audit_log_and_the_last_word_corrects_it(rig: MakeRig) -> None:
    async def scene(r: Rig) -> str:
        await r.recognising()
        r.worker.raise_candidate(7)
        await r.until(lambda: bool(r.hub.alerts()))
        alert = r.hub.alerts()[0].alert_id
        at = "2026-11-23T10:00:00.000Z"
        beside: dict[str, Any] = {"mode": None, "alert_id": alert, "officer_ref": "op-2", "at": at}
        engaged = messages.Engagement(outcome="not_located", **beside)
        for data in (engaged, engaged, messages.Engagement(outcome="confirmed_true", **beside)):
            r.hub.follow(alert, data)
        r.hub.follow(alert, messages.Disposition(outcome="arrest", **beside))
        await asyncio.sleep(1)
        return alert

    r = rig()
    alert = r.play(scene)
    found = [
        (row.what, row.engagement or row.disposition, row.alert, row.officer)
        for row in rows(r)
        if row.what in ("engagement", "disposition")
    ]
    assert found == [
        ("engagement", "not_located", alert, "op-2"),
        ("engagement", "confirmed_true", alert, "op-2"),
        ("disposition", "arrest", alert, "op-2"),
    ]
