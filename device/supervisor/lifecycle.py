"""The device as a whole: wires its parts, runs them until the deployment or the program ends, stops them in order.

Parts are wired here by their constructors. Where two parts need each other, one gets a closure over `self`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from dataclasses import replace
from typing import Any, TypeVar

from device.audit.rows import Head
from device.config.model import DeviceConfig
from device.domain.time import NS_PER_S
from device.errors import LfrError
from device.hub_api.topics import DeviceTopics
from device.logs import event
from device.supervisor.alerts.judgements import Judgements
from device.supervisor.alerts.outbox_publisher import OutboxPublisher
from device.supervisor.alerts.service import WITHDRAWN, AlertService, SignState, Surroundings, is_of
from device.supervisor.audit.writer import AuditWriter
from device.supervisor.blue_list.service import BlueList
from device.supervisor.deployment.missed_erasures import MissedErasures
from device.supervisor.deployment.receipts import ErasureReceipts
from device.supervisor.deployment.release_watch import ReleaseWatch
from device.supervisor.deployment.sync import DeploymentSync
from device.supervisor.deployment.teardown import Outcome, end_deployment, leave_deployment, waiting_for_their_time
from device.supervisor.edges import Edges
from device.supervisor.hub_requests import HubRequests
from device.supervisor.inputs import watch_blue_list_button, watch_tamper_line
from device.supervisor.loop import SupervisorLoop
from device.supervisor.renewal import CertificateRenewal
from device.supervisor.runtime.timeouts import settle
from device.supervisor.sign.monitor import KINDS, SignMonitor
from device.supervisor.status import view
from device.supervisor.status.hub import Hub
from device.supervisor.status.reporter import Reporter
from device.supervisor.status.retained import Notices, version
from device.supervisor.timing import ALIVE_S, STOPPED_S, Budget
from device.supervisor.workers.pool import WorkerPool

_log = logging.getLogger(__name__)
Result = TypeVar("Result")


class DeviceLifecycle:
    """Supervisor of one device. `run` once."""

    def __init__(self, config: DeviceConfig, edges: Edges, boot_id: str, budget: Budget | None = None) -> None:
        topics = DeviceTopics(config.site, config.device)
        cameras = tuple(camera.id for camera in config.cameras)
        self._config = config
        self._edges = edges
        self._reloading: asyncio.Task[None] | None = None
        self._beaten_ns = 0
        woken = asyncio.Event()
        self._audit = AuditWriter(edges.open_audit, edges.disk, edges.clock, boot_id, on_head=self._publish_audit_head)
        self._publisher = self._outbox_publisher(edges)
        self._hub = Hub(
            config.site,
            config.device,
            edges.clock,
            publisher=self._publisher,
            on_judgement=lambda judgement: self._judgements.judged(judgement),
            on_follow_up=lambda data: self._judgements.followed(data),
            on_command=lambda name, payload, kept: self._requests.commands.arrived(name, payload, retained=kept),
        )
        self._sign = SignMonitor(
            edges.lines,
            edges.clock,
            KINDS[config.lines.sign_kind],
            watched=lambda: self._pool.alive,
            on_change=woken.set,
        )
        self._alerts = AlertService(
            topics,
            edges.clock,
            Surroundings(config=config, boot_id=boot_id, sign=self._sign_state, session=lambda: self._hub.session_id),
            store=self._publisher.keep,
            erase=self._publisher.erase,
        )
        self._judgements = Judgements(self._audit, self._alerts, self._publisher, edges.clock)
        self._pool = self._worker_pool(config, budget or Budget(), woken)
        self._notices = Notices(
            topics,
            boot_id,
            cameras,
            edges.clock,
            publisher=self._publisher,
            mode=lambda: self.supervisor.mode,
            audit_key=lambda: self._audit.key,
        )
        self._requests = self._hub_requests(config, boot_id, budget or Budget())
        self._receipts = ErasureReceipts(self._audit, edges.clock, self._notices)
        self.blue_list = self._blue_list(topics)
        self.supervisor = self._loop(config, woken)
        self._releases = ReleaseWatch(edges.releases, edges.release_thread, idle=lambda: self.supervisor.idle)
        self._renewal = CertificateRenewal(edges)
        self._reporter = self._status_reporter(config, edges, boot_id)

    def _status_reporter(self, config: DeviceConfig, edges: Edges, boot_id: str) -> Reporter:
        """Reads the other parts; the last one to be made."""
        return Reporter(
            config,
            edges,
            audit=self._audit,
            supervisor=self.supervisor,
            pool=self._pool,
            alerts=self._alerts,
            publisher=self._publisher,
            notices=self._notices,
            boot_id=boot_id,
            live_view=self._requests.view,
            software=lambda: self._releases.news,
            certificates=lambda: self._renewal.view,
        )

    def _worker_pool(self, config: DeviceConfig, budget: Budget, woken: asyncio.Event) -> WorkerPool:
        return WorkerPool(
            config,
            self._edges,
            alerts=self._alerts,
            audit=self._audit,
            budget=budget,
            on_change=woken.set,
            on_view=lambda camera, sealed: self._requests.view.picture(camera, sealed),
            applied=lambda camera: self._requests.zones.applied(camera),
            on_volunteer=lambda camera, finding: self.blue_list.seen(camera, finding),
        )

    def _blue_list(self, topics: DeviceTopics) -> BlueList:
        return BlueList(
            topics,
            self._edges.clock,
            self._edges.disk,
            active=lambda: self.supervisor.active,
            store=self._publisher.keep,
            withdraw=self._pool.withdraw_volunteers,
            erased=lambda count: self._receipts.erased("template", count, "withdrawn"),
            unsend=lambda concerns: self._publisher.erase_undelivered(concerns, WITHDRAWN),
        )

    def _hub_requests(self, config: DeviceConfig, boot_id: str, budget: Budget) -> HubRequests:
        return HubRequests(
            config,
            self._edges,
            boot_id,
            audit=self._audit,
            pool=self._pool,
            notices=self._notices,
            budget=budget,
            act=lambda command: self.supervisor.command(command),
            loaded=lambda: not self.supervisor.idle,
        )

    def _outbox_publisher(self, edges: Edges) -> OutboxPublisher:
        return OutboxPublisher(
            edges.broker,
            edges.outbox,
            edges.disk,
            edges.clock,
            lambda gone: self._receipts.alerts_erased(gone),
            alert_log=self._log_alerts,
        )

    def _loop(self, config: DeviceConfig, woken: asyncio.Event) -> SupervisorLoop:
        """The loop over the parts."""
        return SupervisorLoop(
            config,
            self._edges,
            hub=self._hub,
            pool=self._pool,
            alerts=self._alerts,
            audit=self._audit,
            deployment_sync=DeploymentSync(
                self._edges.repository,
                self._edges.sync,
                self._edges.clock,
                self._audit,
                config,
                memory_locked=self._edges.memory_locked,
                on_recipient=self._notices.recipient,
                on_withdrawn=self._withdrawn,
                on_volunteers_gone=lambda refs: self.blue_list.take_off(refs),
            ),
            sign=self._sign,
            woken=woken,
            commissioning=self._requests.commissioning,
            view_asked=lambda: self._requests.view.asked,
            kept_by=lambda: {"audit log": self._audit.problem, "outbox": self._publisher.problem},
        )

    async def run(self) -> Outcome:
        """From self-test to erasure. Raises the error that kept every recording from being processed at all."""
        supervisor, publisher = self.supervisor, self._publisher
        await self._audit.open()
        self._audit.note("started", version=version())
        await self._audit.sign()
        supervisor.self_test()
        self._connect_inputs()
        await supervisor.host.measure()
        await self._requests.zones.read()
        orders = supervisor.erasure_orders
        missed = MissedErasures(self._edges.disk, self._audit, self._receipts, publisher=publisher, orders=orders)
        await missed.catch_up()
        observing = (supervisor.sign.run(), supervisor.host.run())
        work = (
            *observing,
            self._audit.run(),
            publisher.run(),
            supervisor.deployment_sync.run(),
            supervisor.load(),
            self._reporter.run(),
            self._requests.run(),
            self.blue_list.run(),
            missed.store_verified_time(),
            self._renewal.run(),
            self._releases.run(),
        )
        background = tuple(asyncio.create_task(job) for job in work)
        self._edges.service.ready()
        await self._alive_while(missed.report())
        try:
            await self._until_over(background)
            stays = self._stays
            if not stays:
                self._edges.service.stopping()
            outcome = await self._alive_while(self._end())
            if stays:
                outcome = await self._hold(background, outcome)
                self._edges.service.stopping()
            self._audit.note("stopped", exit_status=outcome.exit_status)
            await self._audit.sign()
            await self._publish_stopped()
        finally:
            await supervisor.stop_workers_and_sign()
            await settle(*background)
            await self._audit.close()
        if (fault := self._pool.unrecoverable) is not None:
            raise fault
        return outcome

    def reload(self) -> None:
        """SIGHUP: read again what can be read again while the device runs. One reload at a time."""
        if self._reloading is None or self._reloading.done():
            self._reloading = asyncio.get_running_loop().create_task(self._reload())

    async def _reload(self) -> None:
        """Certificates and the repository; a changed configuration needs a restart, and is only checked.

        What cannot be used is logged, and the device goes on with what it has.
        """
        changed: list[str] = []
        try:
            if self._edges.reread is not None:
                fresh, config = await self._edges.disk(self._edges.reread), self._config
                changed = [key for key in type(fresh).model_fields if getattr(fresh, key) != getattr(config, key)]
            await self._edges.disk(self._edges.broker.reload)
            await self._renewal.read()
        except LfrError as fault:
            problem = str(fault).replace("\n", ";")
            event(_log, "reload.refused", level=logging.WARNING, problem=problem)
            return
        event(_log, "reload.done", changed_and_needs_a_restart=", ".join(changed) or "nothing")
        self.supervisor.deployment_sync.hurry()

    async def _until_over(self, background: tuple[asyncio.Task[None], ...]) -> None:
        """Tick until the deployment is over or a signal asks the program to end."""
        supervisor = self.supervisor
        while not supervisor.ending:
            self._round(background)
            if not supervisor.ending and (
                supervisor.requests.leave is not None or self._pool.unrecoverable is not None
            ):
                return
            await supervisor.rest()

    def _round(self, background: tuple[asyncio.Task[None], ...]) -> None:
        """One tick and, when it is due, a watchdog notification. A failed background task ends the device."""
        self.supervisor.tick()
        for task in background:
            if task.done():
                task.result()
        now = int(self._edges.clock.monotonic())
        if now - self._beaten_ns >= ALIVE_S * NS_PER_S:
            self._beaten_ns = now
            self._edges.service.alive()

    async def _end(self) -> Outcome:
        """Stop every worker; then, if the deployment is over, deliver, erase and prove."""
        supervisor = self.supervisor
        await supervisor.stop_workers_and_sign()
        await self._reporter.report()
        if not supervisor.ending:
            if supervisor.active is not None:
                await leave_deployment(self._pool, self._reporter, self._receipts, self._publisher)
            return Outcome(exit_status=supervisor.requests.leave or 0)
        outcome = await end_deployment(
            self._edges,
            supervisor=supervisor,
            pool=self._pool,
            audit=self._audit,
            publisher=self._publisher,
            reporter=self._reporter,
            receipts=self._receipts,
        )
        await self._reporter.report()
        return outcome

    @property
    def _stays(self) -> bool:
        """Whether alerts of the ended deployment may have to be kept for hours, and then erased, by this program."""
        active = self.supervisor.active
        retained = active is not None and active.deployment.retention.alert_hours > 0
        return self.supervisor.ending and self._config.live and retained

    async def _hold(self, background: tuple[asyncio.Task[None], ...], outcome: Outcome) -> Outcome:
        """Stay in `safe`, sign off, while alerts are kept: the publisher erases each at its time; until a signal."""
        held = outcome.summary.get("alerts_held")
        if held and outcome.exit_status == 0:
            event(_log, "ending.holding", alerts=held)
            while held and self.supervisor.requests.leave is None:
                self._round(background)
                if self.supervisor.requests.tampered:
                    self._publisher.erase(None, "tamper")
                await asyncio.sleep(ALIVE_S)
                work = self._edges.disk(lambda: waiting_for_their_time(self._edges.outbox))
                held = len(await self._alive_while(work))
            event(_log, "ending.held", alerts=held)
        return replace(outcome, summary={**outcome.summary, "alerts_held": held})

    async def _alive_while(self, work: Coroutine[Any, Any, Result]) -> Result:
        """The result of `work`, with watchdog notifications until it is done."""
        task = asyncio.create_task(work)
        while not task.done():
            self._edges.service.alive()
            self.supervisor.indicators.blink()
            await asyncio.wait((task,), timeout=ALIVE_S)
        return task.result()

    def _connect_inputs(self) -> None:
        """Connect the inputs: STOP contact, tamper line, blue-list button, hub, broker session."""
        self.supervisor.watch_stop()
        watch_tamper_line(self._edges, self._audit, self._tampered)
        watch_blue_list_button(self._edges, lambda: self.blue_list.pass_logged(self._edges.clock.wall()))
        self._hub.subscribe()
        self._publisher.connect(self._session)

    def _withdrawn(self, deployment: str, refs: frozenset[str]) -> None:
        """Entries were withdrawn from the list: every worker zeroes them, and nothing more is published of them."""
        self._pool.withdraw(refs)
        self._publisher.erase_undelivered(is_of(deployment, refs), WITHDRAWN)

    def _sign_state(self) -> SignState:
        """The sign's state, as alerts state it."""
        return "simulated" if self._edges.simulated else "lit" if self._sign.view().sensed else "dark"

    def _publish_audit_head(self, head: Head) -> None:
        """A signed head is on the disk: publish it."""
        self._notices.audit(view.audit_message(self._notices.mode, head))

    async def _log_alerts(self, alerts: list[str]) -> bool:
        """Alerts were stored: a row for each; whether everything that was noted is on the disk."""
        for alert in alerts:
            self._audit.note("alert", "R13", alert=alert, camera=self._alerts.camera_of(alert))
        return await self._audit.write()

    def _tampered(self) -> None:
        """The housing was opened: the deployment ends at once; alerts kept from an earlier one go too."""
        self.supervisor.tampered()
        if self.supervisor.active is None:
            self._publisher.erase(None, "tamper")

    def _session(self, present: bool) -> None:
        self._hub.connection(present, self._publisher.reason)
        if present:
            self._reporter.session_began()
        self.supervisor.woken.set()

    async def _publish_stopped(self) -> None:
        """Publish `stopped`, which differs from the will's `offline`; without a session there is no wait."""
        self._notices.stopped()
        await self._publisher.flush_notices(STOPPED_S)
