"""A whole device on fakes: virtual time, a fake broker, scripted workers, simulated GPIO lines."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, TypeVar

from device.audit.key import DeviceKey, device_key
from device.audit.log import Log
from device.config.model import DeviceConfig
from device.domain.time import rfc3339
from device.edges.broker.fake import FakeBroker, FakeExchange
from device.edges.clock.fake import FakeClock
from device.edges.gpio.simulated import SimulatedGpio
from device.edges.host.emulated_board import EmulatedBoard
from device.edges.service.systemd import NoServiceManager
from device.hub_api import events, messages
from device.hub_api.topics import DeviceTopics, HubTopics
from device.outbox.retry import MessageClass
from device.outbox.store import Outbox
from device.ports.broker import Outgoing
from device.supervisor.deployment.teardown import Outcome
from device.supervisor.edges import Edges
from device.supervisor.lifecycle import DeviceLifecycle
from device.supervisor.runtime.executor import DiskInline
from device.supervisor.state_machine import State
from device.supervisor.status.retained import will
from device.supervisor.timing import Budget
from device.sync.renewal import Asked, Ends
from tests.commands import SITE_AUTHORITY, a_command, authority, pem
from tests.sim.published import FakeRepository
from tests.sim.virtual_loop import VirtualLoop
from tests.sim.workers import LIST, FakeLauncher

Result = TypeVar("Result")
RECIPIENT = "age1" + "q" * 58


def operator(who: str) -> dict[str, Any]:
    """The fields of the hub's state about its operator."""
    return {"operator": who, "operator_present": who == "present"}


class FakeHub:
    """The hub's session: publishes the operator's presence, sends judgements, and keeps what it receives."""

    def __init__(self, exchange: FakeExchange, clock: FakeClock, folder: Path) -> None:
        self.folder = folder
        self.received: list[tuple[str, bytes]] = []
        self._clock = clock
        self._topics = HubTopics("demo")
        state = messages.HubState(mode=None, state="offline", **operator("absent"), session_id=None, at=self._now())
        self.broker = FakeBroker(exchange, "hub", self._message(self._topics.state, state, retain=True))
        self.broker.subscribe(self._topics.everything, lambda topic, payload: self.received.append((topic, payload)))
        self.broker.connect(lambda present, reason: None, lambda delivery: None)

    def operator(self, present: bool, simulated: bool = False) -> None:
        """An operator signs in or out, or the hub reports a simulated one."""
        fields = operator("simulated" if simulated else "present" if present else "absent")
        state = messages.HubState(mode=None, state="online", **fields, session_id="s", at=self._now())
        self.broker.publish(self._message(self._topics.state, state, retain=True))

    def judge(self, alert_id: str, outcome: Any) -> None:
        """Send an operator's judgement of an alert."""
        judgement = messages.Adjudication(
            mode=None, alert_id=alert_id, outcome=outcome, officer_ref="o", at=self._now()
        )
        self.broker.publish(self._message(self._topics.adjudication("cam-1", alert_id), judgement))

    def follow(self, alert_id: str, data: messages.Engagement | messages.Disposition | messages.Hold) -> None:
        """Record the engagement, the disposition or a hold of an alert."""
        kinds = {messages.Engagement: self._topics.engagement, messages.Disposition: self._topics.disposition}
        topic = kinds.get(type(data), self._topics.hold)
        self.broker.publish(self._message(topic("cam-1", alert_id), data))

    def command(self, name: Any, **changes: Any) -> None:
        """Give the device a command, signed by the site's hub."""
        self.send(a_command(self.folder, name, self._clock.wall(), **changes))

    def send(self, command: messages.Command, *, retain: bool = False) -> None:
        """Send a command unchanged."""
        topic = DeviceTopics("demo", "cam-1").command(command.name)
        self.broker.publish(self._message(topic, command, retain=retain))

    def replies(self) -> list[tuple[str, str]]:
        """Name and result of every reply to a command."""
        return [(data.name, data.result) for data in self.all(messages.CommandReply)]

    def alerts(self) -> list[messages.Alert]:
        """Every revision of every alert received, in order."""
        return [data for data in self._all() if isinstance(data, messages.Alert)]

    def receipts(self) -> list[messages.Erasure]:
        """Every erasure receipt received."""
        return [data for data in self._all() if isinstance(data, messages.Erasure)]

    def states(self) -> list[messages.DeviceState]:
        """Every device state received."""
        return [data for data in self._all() if isinstance(data, messages.DeviceState)]

    def all(self, kind: type[messages.Message]) -> list[Any]:
        """Every message of a type, in order."""
        return [data for data in self._all() if isinstance(data, kind)]

    def last(self, kind: type[messages.Message]) -> Any:
        """The latest message of a type."""
        return [data for data in self._all() if isinstance(data, kind)][-1]

    def recipient(self) -> str | None:
        """The age recipient for its key envelope that the device published; None before that."""
        identities = self.all(messages.Identity)
        return identities[-1].recipient if identities else None

    def probes(self) -> list[tuple[str, bytes]]:
        return [(topic, payload) for topic, payload in self.received if topic.endswith("/probe")]

    def _all(self) -> list[messages.Message]:
        texts = [payload for topic, payload in self.received if not topic.endswith(("/probe", "/view"))]
        return [events.decode(payload).data for payload in texts]

    def _now(self) -> str:
        return rfc3339(self._clock.wall())

    def _message(self, topic: str, data: messages.Message, retain: bool = False) -> Outgoing:
        event_id = f"{topic}-{self._clock.monotonic()}"
        payload = events.encode(data, event_id=event_id, source="lfr/v1/demo/hub", subject="x", at=self._clock.wall())
        return Outgoing(event_id, topic, payload, 1, retain, None, events.CONTENT_TYPE)


class ServiceThatRemembers(NoServiceManager):
    """Keeps every status line."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []

    def status(self, text: str) -> None:
        super().status(text)
        self.said.append(text)

    @property
    def undisturbed(self) -> bool:
        """Whether the last line is of a device that recognises and has no problem."""
        return self.last_status.startswith("recognising, ") and ":" not in self.last_status


class Rig:
    """The device and everything around it.

    Changes: cameras, live, mode, alert_hours, window_s, max_watchlist_size, device, operator, budget, again,
    memory_locked. What lies in `place` is what a hub publishes.
    """

    def __init__(self, folder: Path, **changes: Any) -> None:
        self.folder = folder
        self.clock = FakeClock(datetime(2026, 11, 23, 10, 0, tzinfo=timezone.utc))
        self.loop = VirtualLoop(self.clock)
        self.lines = SimulatedGpio(self.clock)
        self.root = folder / "root"
        self.free_bytes = 10**10
        self.refusal = ""
        self.board = EmulatedBoard()
        self.certificate_ends = Ends()
        self.asked = Asked()
        self.warm(50.0)
        self.exchange = FakeExchange()
        self.launcher = FakeLauncher(self.clock)
        self.service = ServiceThatRemembers()
        self.hub = FakeHub(self.exchange, self.clock, folder / "hub")
        self.config = config(folder, **changes)
        self.reread: Callable[[], DeviceConfig] = lambda: self.config
        self.place = folder / "deployment"
        if not changes.get("again", False):  # the folder of an earlier rig, as a restart finds it
            write_deployment(self.place, **changes)
        self.repository = FakeRepository(self.place, self.clock, self.hub.recipient)
        self.outbox = Outbox(folder / "state" / "outbox.sqlite", self.clock.wall(), log_first=True)
        broker = self.broker = FakeBroker(self.exchange, "cam-1", will("demo", "cam-1", "boot", self.clock))
        edges = Edges(
            clock=self.clock,
            lines=self.lines,
            service=self.service,
            broker=broker,
            launcher=self.launcher,
            disk=DiskInline(),
            outbox=self.outbox,
            open_audit=self._open_audit,
            authority=lambda: pem(authority(SITE_AUTHORITY)),
            certificate_ends=lambda: self.certificate_ends,
            renew=lambda: self.asked,
            models_dir=folder / "models",
            simulated=True,
            sync=DiskInline(),
            repository=self.repository,
            memory_locked=changes.get("memory_locked", True),
            root=self.root,
            board=self.board,
            disk_free=lambda folder: self.free_bytes,
            refusal=lambda folder, write: self.refusal,
            reread=lambda: self.reread(),
        )
        self.device = DeviceLifecycle(self.config, edges, "boot", changes.get("budget", Budget()))
        self.task: asyncio.Task[Outcome] | None = None
        if changes.get("operator", True):
            self.hub.operator(True)

    def _open_audit(self) -> tuple[DeviceKey, Log]:
        state = self.folder / "state"
        return device_key(state), Log(state / "audit")

    def is_in(self, state: State) -> bool:
        """Whether the device is in this state now."""
        return self.state is state

    @property
    def state(self) -> State:
        return self.device.supervisor.state

    @property
    def worker(self) -> Any:
        """The latest worker."""
        return self.launcher.workers[-1]

    def warm(self, celsius: float) -> None:
        """Set the only temperature sensor, whose critical trip point is 105 °C."""
        zone = self.root / "sys/class/thermal/thermal_zone0"
        zone.mkdir(parents=True, exist_ok=True)
        facts = {"type": "tj-thermal", "trip_point_0_type": "critical", "trip_point_0_temp": "105000"}
        for name, text in {**facts, "temp": str(round(celsius * 1000))}.items():
            (zone / name).write_text(text + "\n")

    @property
    def reasons(self) -> str:
        """All reasons of the present state, as one text."""
        from device.supervisor.conditions.evaluation import failing

        return "\n".join(evaluation.text for evaluation in failing(self.device.supervisor.evaluations))

    def play(self, scene: Callable[[Rig], Coroutine[Any, Any, Result]]) -> Result:
        """Run a scene on virtual time; the device is stopped afterwards if the scene has not ended it."""
        asyncio.set_event_loop(self.loop)
        try:
            return self.loop.run_until_complete(self._play(scene))
        finally:
            self.loop.close()
            asyncio.set_event_loop(None)
            self.outbox.close()

    async def _play(self, scene: Callable[[Rig], Awaitable[Result]]) -> Result:
        self.task = asyncio.create_task(self.device.run())
        try:
            return await scene(self)
        finally:
            if not self.task.done():
                self.device.supervisor.leave(0)
            await asyncio.gather(self.task, return_exceptions=True)

    async def until(self, what: Callable[[], bool], within_s: float = 60.0) -> float:
        """Wait for a condition; virtual seconds that it took."""
        begin = self.loop.time()
        while not what():
            assert self.loop.time() - begin < within_s, f"not within {within_s} s; {self.state}; {self.reasons}"
            if self.task is not None and self.task.done():
                self.task.result()
            await asyncio.sleep(0.01)
        return self.loop.time() - begin

    def listener(self, on_message: Callable[[str, bytes], None]) -> FakeBroker:
        """Another client with the right to subscribe to every topic; not the hub."""
        session = FakeBroker(self.exchange, "listener")
        session.subscribe(HubTopics("demo").everything, on_message)
        session.connect(lambda present, reason: None, lambda delivery: None)
        return session

    def waiting(self, kind: MessageClass) -> int:
        """How many messages of a kind the device still holds for delivery."""
        return self.outbox.waiting()[kind]

    async def recognising(self) -> None:
        """Wait until the device recognises."""
        await self.until(lambda: self.state is State.RECOGNISING)

    async def outcome(self) -> Outcome:
        """Wait until the device has ended."""
        assert self.task is not None
        return await asyncio.wait_for(self.task, 120.0)


def config(folder: Path, **changes: Any) -> DeviceConfig:
    """A device of `cameras` recordings (or live sources) with everything under one folder."""
    live = changes.get("live", False)
    cameras = [
        {
            "id": name,
            "source": f"rtsp://camera/{name}" if live else str(folder / f"{name}.mp4"),
            "zone": {"name": "gate", "polygon": ((0, 0), (1, 0), (1, 1))},
        }
        for name in changes.get("cameras", ("front",))
    ]
    # A live camera is refused simulated lines by the configuration; the rig passes its fakes past it.
    lines = {"driver": "gpiozero", "sign": "BOARD31", "sign_sense": "BOARD33", "stop": "BOARD29"}
    return DeviceConfig.model_validate(
        {
            "site": "demo",
            "device": "cam-1",
            "cameras": cameras,
            "mqtt": {"host": "h", "ca": "ca", "cert": "c", "key": "k"},
            "lines": {**(lines if live else {"driver": "simulated"}), "sign_kind": changes.get("sign_kind", "led")},
            "trust": {"roots": folder / "roots", "url": "https://hub:8444"},
            "live_view": changes.get("live_view", False),
            "state_dir": folder / "state",
            "run_dir": folder,
        }
    )


def write_deployment(folder: Path, **changes: Any) -> None:
    """A deployment and its sealed list, as a hub would publish them; the window began an hour ago."""
    start = datetime(2026, 11, 23, 9, 0, tzinfo=timezone.utc)
    end = datetime(2026, 11, 23, 10, 0, tzinfo=timezone.utc) + timedelta(seconds=changes.get("window_s", 3600))
    folder.mkdir()
    text = f"""
        id: d-1
        mode: {changes.get("mode", "demo")}
        controller: C
        owner: O
        authorising_officer: AO-1
        purpose: p
        legal_basis: l
        place: here
        window: {{start: {start.isoformat()}, end: {end.isoformat()}}}
        devices: [{changes.get("device", "cam-1")}]
        categories: {{missing: {{response_code: R3}}}}
        max_watchlist_size: {changes.get("max_watchlist_size", 5000)}
        watchlist: {LIST}
        retention: {{alert_hours: {changes.get("alert_hours", 0)}}}
        hub_recipient: {RECIPIENT}
        notice: {{en: text}}
    """
    text += changes.get("more", "")
    (folder / "deployment.yaml").write_text(text)
    (folder / "watchlist.age").write_bytes(b"sealed")


MakeRig = Callable[..., Rig]
"""The fixture `rig`: a Rig with changes."""
