"""Real time, a real vision worker, a real broker: a failing condition ends recognition and the worker within a second.

The supervisor runs in this process on simulated lines, so that its lamp can be broken at a known moment; so does the
hub's session, so that its operator can leave. All else is what `lfr run` and `lfr hub serve` use. One device goes
through all the faults, once each, and recovers from each.

The second is one of `MachineTime`: time during which a busy machine did not run this process or the worker does not
count. That every deadline of the supervisor keeps the second, with workers that ignore Stop too, is shown in virtual
time (sim/test_within_a_second.py). `pytest -s` prints the measured times, real ones beside.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest

from device.domain.finding import Mode
from device.edges.broker.paho import PahoBroker
from device.edges.clock.system import SystemClock
from device.edges.gpio.simulated import SimulatedGpio
from device.hub_api import events, messages
from device.hub_api.topics import DeviceTopics, HubTopics
from device.ports.broker import Outgoing
from device.supervisor.lifecycle import DeviceLifecycle
from device.supervisor.state_machine import State
from tests.machine_time import of_processes
from tools.dev.clip.spec import watchlist_photos
from tools.dev.demo.signed import publish_people, publisher_of
from tools.dev.demo.workspace import DEVICE, SITE, Workspace, build_hub, write_device_config
from tools.dev.rehearsal.device import BOOT, assembled
from tools.hub.broker.mosquitto import RunningBroker, free_port, start_broker
from tools.hub.console.hub_state import state_message
from tools.hub.pki.command_signer import CommandSigner
from tools.hub.publishing.envelope_issuer import Issuer
from tools.hub.publishing.repository_server import RepositoryServer
from tools.hub.storage.folder import SiteDevices

WITHIN_S = 1.0
ENDS_S = 20.0
READY_S = 90.0
POLL_S = 0.002
TOPICS = DeviceTopics(SITE, DEVICE)


class WatchedLines(SimulatedGpio):
    """Simulated lines that note which child processes lived at each switching of the sign."""

    def __init__(self) -> None:
        super().__init__()
        self.at_off: list[set[int]] = []

    def drive_sign(self, lit: bool) -> None:
        if self.sign_driven and not lit:
            self.at_off.append(workers())
        super().drive_sign(lit)


@dataclass
class Bench:
    """One device in this process, and the hub's session beside it with what issues key envelopes."""

    workspace: Workspace
    running: RunningBroker
    lines: WatchedLines = field(default_factory=WatchedLines)
    free_bytes: int = 10**10

    def __post_init__(self) -> None:
        self.root = self.workspace.root / "machine"
        self.warm(50.0)
        self.hub = PahoBroker(self.workspace.hub.address("hub", self.running.port), "hub")
        self.signer = CommandSigner(self.workspace.hub.root, SITE, Mode.DEMO)
        self.issuer = Issuer(publisher_of(self.workspace), SiteDevices(self.workspace.hub), self)

    def warm(self, celsius: float) -> None:
        zone = self.root / "sys/class/thermal/thermal_zone0"
        zone.mkdir(parents=True, exist_ok=True)
        (zone / "type").write_text("tj-thermal\n")
        (zone / "temp").write_text(f"{round(celsius * 1000)}\n")

    def operator(self, who: str) -> None:
        operator: Literal["present", "absent"] = "present" if who == "present" else "absent"
        self.hub.publish(state_message(HubTopics(SITE), Mode.DEMO, SystemClock().wall(), operator, "s-1"))

    def command(self, device: str, name: messages.CommandName) -> None:
        now, topics = SystemClock().wall(), DeviceTopics(SITE, device)
        signed = self.signer.command(device, name, boot_id=BOOT, given_by="op-1", at=now)
        payload = events.encode(signed, event_id=signed.command_id, source=HubTopics(SITE).base, subject=device, at=now)
        message = Outgoing(signed.command_id, topics.command(name), payload, 1, False, None, events.CONTENT_TYPE)
        self.hub.publish(message)

    async def issue(self) -> None:
        """Issue envelopes for the identities that devices send, for ever, as the hub does."""
        loop = asyncio.get_running_loop()

        def received(_: str, payload: bytes) -> None:
            output = events.decode(payload).data
            assert isinstance(output, messages.Identity)
            loop.call_soon_threadsafe(self.issuer.identified, DEVICE, output)

        self.hub.subscribe(TOPICS.identity, received)
        self.hub.connect(lambda online, _: self.operator("present") if online else None, lambda _: None)
        await self.issuer.run()

    async def device(self, stack: AsyncExitStack) -> tuple[DeviceLifecycle, asyncio.Task[object]]:
        """The supervisor as `lfr run` puts it together, but for its lines and its machine."""
        device = await assembled(self.workspace, self.lines, stack, root=self.root, disk_free=lambda _: self.free_bytes)
        return device, asyncio.create_task(device.run())


@pytest.fixture
def bench(tmp_path: Path, clip: Path) -> Iterator[Bench]:
    """Hub folder, broker, deployment and configuration around the short clip, in real time."""
    port = free_port()
    workspace = build_hub(tmp_path, port, 0)
    shutil.copy(clip, workspace.clip)
    publish_people(workspace, {workspace.entry_ref: next(iter(watchlist_photos().values()))})
    with ExitStack() as stack:
        repository = RepositoryServer(workspace.hub, SiteDevices(workspace.hub), "127.0.0.1", 0)
        stack.callback(repository.stop)
        write_device_config(workspace, port, realtime=True, repository_port=repository.port)
        running = start_broker(workspace.hub, port)
        stack.callback(running.stop)
        made = Bench(workspace, running)
        stack.callback(made.hub.close)
        yield made


def workers() -> set[int]:
    """Vision workers of this process that are not dead: not even zombies of them."""
    found = set()
    for child in Path(f"/proc/{os.getpid()}/task").glob("*/children"):
        for pid in child.read_text().split():
            try:
                if b"device.worker" in Path(f"/proc/{pid}/cmdline").read_bytes():
                    found.add(int(pid))
            except OSError:
                continue
    return found


FAULTS: dict[str, tuple[Callable[[Bench], None], Callable[[Bench], None]]] = {
    "the lamp dies": (lambda b: _set(b, "lamp_works", False), lambda b: _set(b, "lamp_works", True)),
    "the sensor's wire is cut": (lambda b: _set(b, "wire_cut", True), lambda b: _set(b, "wire_cut", False)),
    "STOP by the button": (lambda b: b.lines.press_stop(), lambda b: b.command(DEVICE, "resume")),
    "STOP by the hub": (lambda b: b.command(DEVICE, "stop"), lambda b: b.command(DEVICE, "resume")),
    "the operator leaves": (lambda b: b.operator("absent"), lambda b: b.operator("present")),
    "the machine is hot": (lambda b: b.warm(101.0), lambda b: b.warm(50.0)),
    "the disk fills up": (lambda b: setattr(b, "free_bytes", 1), lambda b: setattr(b, "free_bytes", 10**10)),
}


SIGN_STAYS_DRIVEN = {"the lamp dies", "the sensor's wire is cut"}
"""Only the sign's reading fails: it stays switched on and counts as lit again as soon as it is sensed."""


def _set(b: Bench, name: str, value: bool) -> None:
    setattr(b.lines, name, value)


async def until(what: Callable[[], bool], task: asyncio.Task[object], within_s: float) -> None:
    """Wait for a condition, for at most `within_s` real seconds."""
    begun = time.monotonic()
    while not what():
        if task.done():
            task.result()
        assert time.monotonic() - begun < within_s, f"not within {within_s} s"
        await asyncio.sleep(POLL_S)


@dataclass(frozen=True)
class Measured:
    """One fault: seconds until recognition had ended and until the worker was gone, and the latter in real time."""

    left_s: float
    gone_s: float
    gone_real_s: float


async def ended(bench: Bench, device: DeviceLifecycle, task: asyncio.Task[object], name: str) -> Measured:
    """Let a fault happen, measure, and mend it."""
    fail, mend = FAULTS[name]
    await until(lambda: device.supervisor.state is State.RECOGNISING and bool(workers()), task, READY_S)
    await asyncio.sleep(1.5)
    bench.lines.at_off.clear()
    with of_processes(lambda: {os.getpid(), *workers()}) as machine:
        begun = time.monotonic()
        fail(bench)
        await until(lambda: device.supervisor.state is not State.RECOGNISING, task, ENDS_S)
        left_s = machine.seconds
        assert device.supervisor.state is State.INHIBITED
        await until(lambda: not workers(), task, ENDS_S)
        measured = Measured(left_s, machine.seconds, time.monotonic() - begun)
    if name not in SIGN_STAYS_DRIVEN:
        await until(lambda: not bench.lines.sign_driven, task, ENDS_S)
        assert bench.lines.at_off[-1] == set(), "the sign went off before its worker"
    mend(bench)
    return measured


@pytest.mark.long
def test_every_fault_ends_recognition_and_the_worker_within_a_second(bench: Bench) -> None:
    async def scene() -> dict[str, Measured]:
        measured = {}
        async with AsyncExitStack() as stack:
            issuing = asyncio.create_task(bench.issue())
            stack.callback(issuing.cancel)
            device, task = await bench.device(stack)
            stack.push_async_callback(asyncio.wait, (task,))
            stack.callback(device.supervisor.leave, 0)
            for name in FAULTS:
                measured[name] = await ended(bench, device, task, name)
        task.result()
        return measured

    measured = asyncio.run(scene())
    for name, m in measured.items():
        sys.stdout.write(f"\n{name:28}left recognising after {m.left_s:.3f} s, worker gone after {m.gone_s:.3f} s")
        sys.stdout.write(f" ({m.gone_real_s:.3f} s of real time)")
    assert set(measured) == set(FAULTS)
    late = {name: m for name, m in measured.items() if max(m.left_s, m.gone_s) > WITHIN_S}
    assert not late
