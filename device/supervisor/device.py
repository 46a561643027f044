"""The device as a whole: its parts put together, run until it is over, taken apart in order."""

from __future__ import annotations

import asyncio
import logging
import secrets

from device.alerts import messages
from device.alerts.outbox import Deletion
from device.alerts.topics import DeviceTopics
from device.config.model import DeviceConfig
from device.domain.time import NS_PER_S
from device.logs import event
from device.supervisor.alert_desk import AlertDesk
from device.supervisor.control import Control
from device.supervisor.courier import Courier
from device.supervisor.crew import Crew
from device.supervisor.edges import Edges
from device.supervisor.ending import Outcome, end_deployment
from device.supervisor.hub import Hub
from device.supervisor.keeper import Budget
from device.supervisor.notices import Notices
from device.supervisor.reporter import Reporter
from device.supervisor.waits import settle

_log = logging.getLogger(__name__)
ALIVE_S = 1.0  # the watchdog's limit is far above this
STOPPED_S = 2.0  # for the word `stopped` to reach the broker


def new_boot_id() -> str:
    """Names one run of this program; with `seq` a receiver sees gaps."""
    return secrets.token_hex(8)


class Device:
    """Supervisor of one device. `run` once."""

    def __init__(self, config: DeviceConfig, edges: Edges, boot_id: str, budget: Budget | None = None) -> None:
        topics = DeviceTopics(config.site, config.device)
        cameras = tuple(camera.id for camera in config.cameras)
        self._edges = edges
        self._hub = Hub(config.site, config.device, edges.clock)
        self._courier = Courier(edges.broker, edges.outbox, edges.disk, edges.clock, self._deleted)
        self._notices = Notices(topics, boot_id, cameras, edges.clock)
        self._desk = AlertDesk(topics, edges.clock, self._courier.keep, self._courier.erase)
        self._crew = Crew(config, edges, hub=self._hub, desk=self._desk, boot_id=boot_id, budget=budget or Budget())
        self.control = Control(config, edges, self._hub, self._crew)
        self._reporter = Reporter(
            config,
            edges,
            control=self.control,
            crew=self._crew,
            desk=self._desk,
            courier=self._courier,
            notices=self._notices,
            boot_id=boot_id,
        )

    async def run(self) -> Outcome:
        """From self-test to erasure. Raises what kept every recording from being searched at all."""
        control, courier = self.control, self._courier
        control.self_test()
        self._listen()
        await self._reporter.look_at_disk()
        work = (courier.run(), control.load(), self._reporter.run())
        background = tuple(asyncio.create_task(job) for job in work)
        self._edges.service.ready()
        try:
            await self._until_over(background)
            self._edges.service.stopping()
            await control.put_out()
            await self._reporter.report()
            if control.ending:
                outcome = await end_deployment(
                    self._edges, control=control, crew=self._crew, courier=courier, reporter=self._reporter
                )
                await self._reporter.report()
            else:
                outcome = Outcome(exit_status=control.wish.leave or 0)
            await self._say_goodbye()
        finally:
            await control.put_out()
            await settle(*background)
        if (fault := self._crew.hopeless) is not None:
            raise fault
        return outcome

    async def _until_over(self, background: tuple[asyncio.Task[None], ...]) -> None:
        """Tick until the deployment is over or somebody asks us to leave. A broken background task ends the device."""
        control, beaten_ns = self.control, 0
        while not control.ending:
            control.tick()
            for task in background:
                if task.done():
                    task.result()
            now = int(self._edges.clock.monotonic())
            if now - beaten_ns >= ALIVE_S * NS_PER_S:
                beaten_ns = now
                self._edges.service.alive()
            if not control.ending and (control.wish.leave is not None or self._crew.hopeless is not None):
                return
            await control.rest()

    def _listen(self) -> None:
        """Connect everything that may call us."""
        control, loop = self.control, asyncio.get_running_loop()

        def pressed() -> None:
            loop.call_soon_threadsafe(control.press_stop, "the STOP button was pressed")

        self._edges.lines.on_stop(pressed)
        self._hub.listen(self._courier, self._judged, control.command)
        self._courier.connect(self._session)

    def _judged(self, judgement: messages.Adjudication) -> None:
        event(_log, "alert.judged", alert=judgement.alert_id, outcome=judgement.outcome)
        self._desk.judged(judgement)

    def _session(self, present: bool) -> None:
        self._hub.connection(present)
        if present:
            self._reporter.born()
        self.control.woken.set()

    def _deleted(self, gone: list[Deletion]) -> None:
        self._reporter.deleted(gone)

    async def _say_goodbye(self) -> None:
        """`stopped`, as opposed to the will's `offline`; a broker that is away is not waited for."""
        self._notices.stopped(self._courier)
        await self._courier.quiet(STOPPED_S)
