"""A state disk that turns read-only or full: recognition stops within a beat, says so, and an end is still obeyed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from device.audit.log import Log
from device.errors import Unavailable
from device.outbox.message import OutboxMessage
from device.outbox.store import Outbox
from device.ports.gpio import Lamp
from device.supervisor.state_machine import State
from tests.sim.rig import MakeRig, Rig

READ_ONLY = "Read-only file system"


def refuse(*_: object, **__: object) -> None:
    raise Unavailable(READ_ONLY)


def read_only_mount(r: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    r.refusal = "it is mounted read-only"


def audit_log(r: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Log, "append", refuse)
    r.device.supervisor._audit.note("counts", "R04")


def head_of_the_audit_log(r: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Log, "keep_head", refuse)
    r.device._audit._signed_ns = -(10**12)
    r.device._audit.note("counts", "R04")


def outbox(r: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Outbox, "put", refuse)
    monkeypatch.setattr(Outbox, "require_room", refuse)
    r.worker.raise_candidate(1)


FAULTS: dict[str, Callable[[Rig, pytest.MonkeyPatch], None]] = {
    "state folder": read_only_mount,
    "audit log": audit_log,
    "head": head_of_the_audit_log,
    "outbox": outbox,
}


@pytest.mark.parametrize("fault", FAULTS)
def test_recognition_stops_within_a_second_and_comes_back(
    rig: MakeRig, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    async def scene(r: Rig) -> float:
        await r.recognising()
        worker = r.worker
        with monkeypatch.context() as broken:
            FAULTS[fault](r, broken)
            took = await r.until(lambda: not worker.running)
            assert r.state is State.INHIBITED
            assert "the state folder takes no writes, or audit log or outbox are not kept" in r.reasons
            assert "None" not in r.reasons
            await r.until(lambda: r.device.supervisor.indicators.lit[Lamp.FAULT])
            await asyncio.sleep(20.0)
            assert r.is_in(State.INHIBITED), "it stays so while the disk refuses"
        r.refusal = ""
        await r.recognising()
        return took

    assert rig(live=True).play(scene) <= 1.0


def test_a_device_that_waits_lights_its_fault_lamp_too(rig: MakeRig) -> None:
    async def scene(r: Rig) -> None:
        r.repository.offers = False
        await r.until(lambda: r.state is State.READY)
        r.refusal = "it is mounted read-only"
        await r.until(lambda: r.device.supervisor.indicators.lit.get(Lamp.FAULT, False), within_s=1.0)
        assert r.is_in(State.READY)

    rig(live=True).play(scene)


def test_the_end_is_obeyed_while_the_disk_refuses(rig: MakeRig, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene(r: Rig) -> float:
        await r.recognising()
        r.refusal = "it is mounted read-only"
        monkeypatch.setattr(Log, "append", refuse)
        r.repository.offers = False
        took = await r.until(lambda: r.state is State.ENDING)
        assert not r.worker.running
        return took

    assert rig(live=True).play(scene) <= 2.5


def test_an_alert_that_cannot_be_stored_is_still_delivered(rig: MakeRig, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene(r: Rig) -> None:
        await r.recognising()

        def full(self: Outbox, message: OutboxMessage) -> bool:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(Outbox, "put", full)
        r.worker.raise_candidate(1)
        await r.until(lambda: len(r.hub.alerts()) == 1, within_s=5.0)

    rig(live=True).play(scene)
