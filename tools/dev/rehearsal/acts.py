"""The rehearsal, act by act: sign, publish, sync (HTTPS and USB), arm, recognise, lose the sign, recover, withdraw,
end, erase. Each act waits for what it should bring about and fails with words when it does not come.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from device.domain.finding import Mode
from device.edges.gpio.simulated import SimulatedGpio
from device.errors import RefusedByCondition, Unavailable
from device.hub_api.messages import WatchlistState
from device.supervisor.lifecycle import DeviceLifecycle
from device.supervisor.state_machine import State
from device.sync.offer import Published
from tools.dev.demo.signed import build_list, now, plan_of, publisher_of, safe
from tools.dev.demo.stage import DEVICE, Stage
from tools.dev.rehearsal.stand import Log, stick_client
from tools.hub.broker.listener import Listener
from tools.hub.publishing import operations
from tools.hub.publishing.ceremony import Ceremony, NewAuthority, begin
from tools.hub.publishing.change import Change
from tools.hub.publishing.publisher import Publisher
from tools.hub.publishing.signing_keys import open_key

OFFICERS = ("AO-1", "AO-2", "AO-3")
THRESHOLD = 2
PATIENCE_S = 120.0
GONE_WITHIN_S = 1.0  # DESIGN: recognition stops within 1 s of a failing condition
WITHDRAWN_WITHIN_S = 5.0


class Failed(Unavailable):
    """An act that did not bring about what it should."""


@dataclass
class Play:
    """What the acts share."""

    stage: Stage
    log: Log
    lines: SimulatedGpio
    publisher: Publisher
    other_ref: str = "e-0000000002"

    def officer(self, name: str) -> Path:
        return safe(self.stage) / "officers" / f"{name}.key"


def sign_and_publish(stage: Stage, log: Log, listed: list[Path], other: Path) -> Play:
    """A root, three officers of whom two must sign, a list of two people, one signature elsewhere, publication."""
    play = Play(stage, log, SimulatedGpio(), publisher_of(stage))
    publisher = play.publisher
    authority = NewAuthority(mode=Mode.DEMO, devices=(DEVICE,), make_officers=OFFICERS, threshold=THRESHOLD)
    begin(publisher, Ceremony(safe(stage)), authority, now())
    root = publisher.places.trust(Mode.DEMO)
    (stage.roots / Mode.DEMO.value).mkdir(mode=0o700, parents=True)
    shutil.copy(root, stage.roots / Mode.DEMO.value / root.name)
    log.say(
        f"SIGN       root of trust made; {THRESHOLD} of {len(OFFICERS)} officers must sign; device brought root.json"
    )
    plan = plan_of(stage)
    build_list(plan, {stage.entry_ref: listed, play.other_ref: [other]}, stage.root / "list")
    change = operations.propose_deployment(publisher, plan, stage.root / "list", now())
    change.sign([open_key(play.officer("AO-1"))])
    try:
        operations.publish(publisher, change)
    except RefusedByCondition as fault:
        log.say(f"REFUSED    {fault}")
    else:
        raise Failed("a deployment was published with one signature of two")
    copy = Change(Path(shutil.copytree(change.folder, stage.root / "courier")))
    copy.sign([open_key(play.officer("AO-2"))])
    change.merge(copy)
    log.say("SIGN       AO-1 at the hub, AO-2 on a copy of the change elsewhere")
    operations.publish(publisher, change)
    operations.copy_to_usb(publisher, stage.root / "stick")
    log.say(f"PUBLISH    {plan.id}: to the hub's repository and to a stick")
    return play


def sync_from_stick(play: Play) -> None:
    """The same verification from a stick, by a device that has no network."""
    found: Published = stick_client(play.stage).sync()
    if found.offer is None:
        raise Failed(f"nothing was found on the stick: {found.refused}")
    play.log.say(f"SYNC usb   {found.offer.deployment.id} verified from the stick")


async def recognise(play: Play, device: DeviceLifecycle, listener: Listener) -> None:
    """Sync over HTTPS, envelope, arm, recognise, one possible match at the hub."""
    await until(play, device, lambda: device.supervisor.state is State.RECOGNISING, "recognising")
    play.log.say("SYNC https deployment, list and key envelope came from the hub; the device recognises")
    await until(play, device, lambda: bool(listener.heard.alerts), "a possible match at the hub")
    alert = next(iter(listener.heard.alerts.values()))[0]
    play.log.say(f"ALERT      possible match of {alert.candidate.entry_ref}, score {alert.score:.2f}, at the hub")


async def lose_the_sign(play: Play, device: DeviceLifecycle) -> None:
    """The lamp dies: recognition stops, the worker is gone; the lamp is mended: it goes on."""
    begun = time.monotonic()
    play.log.say("SIGN LOST  the lamp dies")
    play.lines.lamp_works = False
    await until(play, device, lambda: device.supervisor.state is State.INHIBITED, "inhibited")
    left_s = time.monotonic() - begun
    await until(play, device, lambda: not workers(), "the worker's exit")
    gone_s = time.monotonic() - begun
    play.log.say(f"SIGN LOST  left recognising after {left_s:.2f} s, worker gone after {gone_s:.2f} s")
    if gone_s > GONE_WITHIN_S:
        raise Failed(f"the worker was gone after {gone_s:.2f} s; {GONE_WITHIN_S:g} s are allowed")
    play.lines.lamp_works = True
    play.log.say("SIGN BACK  the lamp is mended")
    await until(play, device, lambda: device.supervisor.state is State.RECOGNISING, "recognising again")
    play.log.say("RECOVERED  recognising again")


async def withdraw(play: Play, device: DeviceLifecycle, listener: Listener, deployment: str) -> None:
    """Two officers take somebody off; every worker has ceased to look for that person within 5 s."""
    change = operations.propose_withdrawal(play.publisher, deployment, [play.other_ref], now())
    change.sign([open_key(play.officer(name)) for name in ("AO-2", "AO-3")])
    begun = time.monotonic()
    await asyncio.to_thread(operations.publish, play.publisher, change)
    await until(play, device, lambda: withdrawn_at(listener) == 1, "the withdrawal in every worker")
    took_s = time.monotonic() - begun
    play.log.say(f"WITHDRAWN  {play.other_ref}, gone from every worker after {took_s:.2f} s")
    if took_s > WITHDRAWN_WITHIN_S:
        raise Failed(f"the withdrawal took {took_s:.2f} s; {WITHDRAWN_WITHIN_S:g} s are allowed")


async def end(play: Play, device: DeviceLifecycle, running: asyncio.Task[object], deployment: str) -> None:
    """`lfr deployment end`: the device ends, erases, and leaves nothing that opens or is the list."""
    begun = time.monotonic()
    await asyncio.to_thread(operations.end, play.publisher, deployment)
    play.log.say(f"END        {deployment} ended at the hub: its key, envelopes and list are withdrawn")
    while not running.done():
        if time.monotonic() - begun > PATIENCE_S:
            raise Failed("the device did not end")
        play.log.watch(device)
        await asyncio.sleep(0.02)
    running.result()
    play.log.watch(device)
    play.log.say(f"ENDED      the device has erased and ended after {time.monotonic() - begun:.1f} s")


def erased(play: Play) -> list[str]:
    """What is left of keys and lists, at the hub and at the device: paths, none when all went well."""
    hub, stage = play.stage.hub.root, play.stage
    left = [*hub.glob("keys/content-*"), *hub.glob("keys/deployment-*"), *hub.glob("references/*")]
    left += [*hub.rglob("*.envelope"), *hub.rglob("*.payload")]
    left += [p for p in stage.state_dir.rglob("*") if p.is_file() and "payloads" in p.parts]
    return [str(path.relative_to(stage.root)) for path in left]


def withdrawn_at(listener: Listener) -> int:
    """How many entries the device said last that every worker has ceased to look for."""
    said = [a.data.withdrawn for a in listener.heard.arrivals if isinstance(a.data, WatchlistState)]
    return said[-1] if said else 0


async def until(play: Play, device: DeviceLifecycle, holds: Callable[[], bool], what: str) -> None:
    """Wait for something, noting what changes meanwhile. Raises Failed when it does not come."""
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        if time.monotonic() > deadline:
            raise Failed(f"no {what} within {PATIENCE_S:g} s; the device: {device.supervisor.state.value}")
        play.log.watch(device)
        await asyncio.sleep(0.005)
    play.log.watch(device)


def workers() -> list[str]:
    """Vision workers of this process that are alive."""
    found = []
    for listed in Path(f"/proc/{os.getpid()}/task").glob("*/children"):
        try:
            children = listed.read_text().split()
        except OSError:
            continue
        for pid in children:
            try:
                found += [pid] if b"device.worker" in Path(f"/proc/{pid}/cmdline").read_bytes() else []
            except OSError:
                continue
    return found
