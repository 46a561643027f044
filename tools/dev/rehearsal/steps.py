"""The steps of the rehearsal: sign, publish, sync (HTTPS and USB), arm, recognise, lose the sign, recover, withdraw,
end, erase. Each step waits for its effect and fails with a text when it does not come.
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
from tools.dev.demo.workspace import DEVICE, Workspace
from tools.dev.rehearsal.device import Log, stick_client
from tools.hub.broker.listener import Listener
from tools.hub.publishing import operations
from tools.hub.publishing.ceremony import Ceremony, NewAuthority, begin
from tools.hub.publishing.change import Change
from tools.hub.publishing.publisher import Publisher
from tools.hub.publishing.signing_keys import open_key

OFFICERS = ("AO-1", "AO-2", "AO-3")
THRESHOLD = 2
PATIENCE_S = 300.0
GONE_WITHIN_S = 1.0  # DESIGN: recognition stops within 1 s of a failing condition
WITHDRAWN_WITHIN_S = 5.0


class Failed(Unavailable):
    """A step whose effect did not come."""


@dataclass
class Rehearsal:
    """State shared by the steps."""

    workspace: Workspace
    log: Log
    lines: SimulatedGpio
    publisher: Publisher
    other_ref: str = "e-0000000002"

    def officer(self, name: str) -> Path:
        return safe(self.workspace) / "officers" / f"{name}.key"


def sign_and_publish(workspace: Workspace, log: Log, listed: list[Path], other: Path) -> Rehearsal:
    """A root, three officers of whom two must sign, a list of two people, one signature elsewhere, publication."""
    rehearsal = Rehearsal(workspace, log, SimulatedGpio(), publisher_of(workspace))
    publisher = rehearsal.publisher
    authority = NewAuthority(mode=Mode.DEMO, devices=(DEVICE,), make_officers=OFFICERS, threshold=THRESHOLD)
    begin(publisher, Ceremony(safe(workspace)), authority, now())
    root = publisher.places.trust(Mode.DEMO)
    (workspace.roots / Mode.DEMO.value).mkdir(mode=0o700, parents=True)
    shutil.copy(root, workspace.roots / Mode.DEMO.value / root.name)
    log.say(
        f"SIGN       root of trust made; {THRESHOLD} of {len(OFFICERS)} officers must sign; device brought root.json"
    )
    plan = plan_of(workspace)
    build_list(plan, {workspace.entry_ref: listed, rehearsal.other_ref: [other]}, workspace.root / "list")
    change = operations.propose_deployment(publisher, plan, workspace.root / "list", now())
    change.sign([open_key(rehearsal.officer("AO-1"))])
    try:
        operations.publish(publisher, change)
    except RefusedByCondition as fault:
        log.say(f"REFUSED    {fault}")
    else:
        raise Failed("a deployment was published with one signature of two")
    copy = Change(Path(shutil.copytree(change.folder, workspace.root / "courier")))
    copy.sign([open_key(rehearsal.officer("AO-2"))])
    change.merge(copy)
    log.say("SIGN       AO-1 at the hub, AO-2 on a copy of the change elsewhere")
    operations.publish(publisher, change)
    operations.copy_to_usb(publisher, workspace.root / "stick")
    log.say(f"PUBLISH    {plan.id}: to the hub's repository and to a stick")
    return rehearsal


def sync_from_stick(rehearsal: Rehearsal) -> None:
    """The same verification from a stick, by a device that has no network."""
    found: Published = stick_client(rehearsal.workspace).sync()
    if found.offer is None:
        raise Failed(f"nothing was found on the stick: {found.refused}")
    rehearsal.log.say(f"SYNC usb   {found.offer.deployment.id} verified from the stick")


async def recognise(rehearsal: Rehearsal, device: DeviceLifecycle, listener: Listener) -> None:
    """Sync over HTTPS, envelope, arm, recognise, one possible match at the hub."""
    await until(rehearsal, device, lambda: device.supervisor.state is State.RECOGNISING, "recognising")
    rehearsal.log.say("SYNC https deployment, list and key envelope came from the hub; the device recognises")
    await until(rehearsal, device, lambda: bool(listener.received.alerts), "a possible match at the hub")
    alert = next(iter(listener.received.alerts.values()))[0]
    rehearsal.log.say(f"ALERT      possible match of {alert.candidate.entry_ref}, score {alert.score:.2f}, at the hub")


async def lose_the_sign(rehearsal: Rehearsal, device: DeviceLifecycle) -> None:
    """The lamp fails: recognition stops, the worker exits; the lamp is repaired: recognition resumes."""
    begun = time.monotonic()
    rehearsal.log.say("SIGN LOST  the lamp dies")
    rehearsal.lines.lamp_works = False
    await until(rehearsal, device, lambda: device.supervisor.state is State.INHIBITED, "inhibited")
    left_s = time.monotonic() - begun
    await until(rehearsal, device, lambda: not workers(), "the worker's exit")
    gone_s = time.monotonic() - begun
    rehearsal.log.say(f"SIGN LOST  left recognising after {left_s:.2f} s, worker gone after {gone_s:.2f} s")
    if gone_s > GONE_WITHIN_S:
        raise Failed(f"the worker was gone after {gone_s:.2f} s; {GONE_WITHIN_S:g} s are allowed")
    rehearsal.lines.lamp_works = True
    rehearsal.log.say("SIGN BACK  the lamp is mended")
    await until(rehearsal, device, lambda: device.supervisor.state is State.RECOGNISING, "recognising again")
    rehearsal.log.say("RECOVERED  recognising again")


async def withdraw(rehearsal: Rehearsal, device: DeviceLifecycle, listener: Listener, deployment: str) -> None:
    """Two officers withdraw an entry; every worker has stopped searching for it within 5 s."""
    change = operations.propose_withdrawal(rehearsal.publisher, deployment, [rehearsal.other_ref], now())
    change.sign([open_key(rehearsal.officer(name)) for name in ("AO-2", "AO-3")])
    begun = time.monotonic()
    await asyncio.to_thread(operations.publish, rehearsal.publisher, change)
    await until(rehearsal, device, lambda: withdrawn_at(listener) == 1, "the withdrawal in every worker")
    took_s = time.monotonic() - begun
    rehearsal.log.say(f"WITHDRAWN  {rehearsal.other_ref}, gone from every worker after {took_s:.2f} s")
    if took_s > WITHDRAWN_WITHIN_S:
        raise Failed(f"the withdrawal took {took_s:.2f} s; {WITHDRAWN_WITHIN_S:g} s are allowed")


async def end(rehearsal: Rehearsal, device: DeviceLifecycle, running: asyncio.Task[object], deployment: str) -> None:
    """`lfr deployment end`: the device ends and erases, and no key or list remains."""
    begun = time.monotonic()
    await asyncio.to_thread(operations.end, rehearsal.publisher, deployment)
    rehearsal.log.say(f"END        {deployment} ended at the hub: its key, envelopes and list are withdrawn")
    while not running.done():
        if time.monotonic() - begun > PATIENCE_S:
            raise Failed("the device did not end")
        rehearsal.log.watch(device)
        await asyncio.sleep(0.02)
    running.result()
    rehearsal.log.watch(device)
    rehearsal.log.say(f"ENDED      the device has erased and ended after {time.monotonic() - begun:.1f} s")


def erased(rehearsal: Rehearsal) -> list[str]:
    """The remaining keys and lists, at the hub and at the device: paths; empty when all are erased."""
    hub, workspace = rehearsal.workspace.hub.root, rehearsal.workspace
    left = [*hub.glob("keys/content-*"), *hub.glob("keys/deployment-*"), *hub.glob("references/*")]
    left += [*hub.rglob("*.envelope"), *hub.rglob("*.payload")]
    left += [p for p in workspace.state_dir.rglob("*") if p.is_file() and "payloads" in p.parts]
    return [str(path.relative_to(workspace.root)) for path in left]


def withdrawn_at(listener: Listener) -> int:
    """The number of withdrawn entries that the device last reported for every worker."""
    withdrawn_counts = [a.data.withdrawn for a in listener.received.arrivals if isinstance(a.data, WatchlistState)]
    return withdrawn_counts[-1] if withdrawn_counts else 0


async def until(rehearsal: Rehearsal, device: DeviceLifecycle, holds: Callable[[], bool], what: str) -> None:
    """Wait for a condition, printing changes meanwhile. Raises Failed at the deadline."""
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        if time.monotonic() > deadline:
            raise Failed(f"no {what} within {PATIENCE_S:g} s; the device: {device.supervisor.state.value}")
        rehearsal.log.watch(device)
        await asyncio.sleep(0.005)
    rehearsal.log.watch(device)


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
