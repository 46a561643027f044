"""The supervisor's loop: snapshot, evaluate, change state, act. Ten times a second and at every event.

1. Every tick takes a snapshot (sign and host are measured by tasks of their own), evaluates the condition tables and
   applies `conditions/policy.py`. The actions follow from the present state alone, so a missed or
   repeated event is harmless. Each condition that begins or ceases to fail is logged with its rule, and so is each
   change of state.
2. No recognition without a lit sign: workers run only while `policy.workers_wanted` allows it, and the sign is
   switched off only after the last worker process has exited.
3. Slow work (disk, processes, the broker) is done elsewhere; a tick never waits.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass

from device.config.model import DeviceConfig
from device.domain.finding import Mode
from device.domain.time import NS_PER_S, wall
from device.errors import GpioUnavailable, Unavailable
from device.hub_api.messages import Command
from device.logs import NOTICE, event
from device.ports.audit import Audit
from device.ports.gpio import Lamp
from device.supervisor.alerts.service import AlertService
from device.supervisor.commissioning import Commissioning
from device.supervisor.conditions import evaluation, policy
from device.supervisor.conditions.condition import Evaluation
from device.supervisor.conditions.snapshot import Snapshot
from device.supervisor.conditions.transitions import ConditionTransitions
from device.supervisor.deployment.active import ActiveDeployment
from device.supervisor.deployment.deadlines import ClockSetback, Deadline
from device.supervisor.deployment.erasure_orders import ErasureOrders
from device.supervisor.deployment.sync import DeploymentSync
from device.supervisor.edges import Edges
from device.supervisor.runtime.host_health import HostHealth
from device.supervisor.runtime.timeouts import set_within
from device.supervisor.sign.blink_codes import code_of
from device.supervisor.sign.indicators import Indicators
from device.supervisor.sign.monitor import SignMonitor
from device.supervisor.state_machine import Event, State, step
from device.supervisor.status.hub import Hub
from device.supervisor.timing import ALERT_LAMP_S, ORDER_RETRY_S, TICK_S
from device.supervisor.workers.pool import WorkerPool

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Requests:
    """Requests from outside. stop: by what STOP was pressed; leave: exit status wanted; end: the deployment is over.

    hurry: shorten every wait. tampered: the housing was opened; everything personal is erased at once.
    """

    stop: str | None = None
    leave: int | None = None
    end: bool = False
    hurry: bool = False
    tampered: bool = False


class SupervisorLoop:
    """State, sign, lamps and the workers' permission to run. Its only deadline is its tick."""

    def __init__(
        self,
        config: DeviceConfig,
        edges: Edges,
        *,
        hub: Hub,
        pool: WorkerPool,
        alerts: AlertService,
        audit: Audit,
        deployment_sync: DeploymentSync,
        sign: SignMonitor,
        woken: asyncio.Event,
        commissioning: Commissioning,
        view_asked: Callable[[], bool],
        kept_by: Callable[[], dict[str, str]],
    ) -> None:
        """kept_by: the disk problem of each part that writes, by its name; empty where there is none.

        view_asked: whether the hub asks for a view now.
        """
        self._kept_by = kept_by
        self._commissioning = commissioning
        self._view_asked = view_asked
        self.state = State.SAFE
        self.since = edges.clock.wall()
        self.requests = Requests()
        self.deployment_sync = deployment_sync
        self.active: ActiveDeployment | None = None
        self.host = HostHealth(config.state_dir, edges)
        self.indicators = Indicators(edges.lines, edges.clock)
        self.ever_recognised = False
        self.snapshot = Snapshot(live=config.live)
        self.evaluations: tuple[Evaluation, ...] = evaluation.evaluate(self.snapshot)
        self.woken = woken
        self._config = config
        self._edges = edges
        self._hub = hub
        self._pool = pool
        self._alerts = alerts
        self._audit = audit
        self.sign = sign
        self._transitions = ConditionTransitions(edges.clock)
        self._problem = ""
        self._clear_since_ns: int | None = None
        self._window: Deadline | None = None
        self._clock_setback = ClockSetback()
        self.erasure_orders = ErasureOrders(config.state_dir, edges.clock, live=config.live)

    def self_test(self) -> None:
        """Check the GPIO lines before anything is loaded: they answer, and the sign is off. Raises GpioUnavailable."""
        self._edges.lines.drive_sign(False)
        self._edges.lines.light(Lamp.POWER, True)
        self.indicators.lit[Lamp.POWER] = True
        self._edges.lines.sign_sensed()
        self._move(Event.SELF_TEST_PASSED)

    async def load(self) -> None:
        """Wait for the deployment, order its erasure before it counts as loaded, give it to the worker pool."""
        found = await self.deployment_sync.find()
        while not await self._ordered(found):
            await asyncio.sleep(ORDER_RETRY_S)
        self.active = found
        await self._commissioning.close()
        deployment = self.active.deployment
        self._window = Deadline(wall(deployment.window.start), wall(deployment.window.end))
        event(_log, "deployment.loaded", level=NOTICE, deployment=deployment.id, mode=deployment.mode.value)
        self._audit.note("loaded", "R02", deployment=deployment.id, mode=deployment.mode.value)
        self._pool.load(self.active)
        self.woken.set()

    async def _ordered(self, active: ActiveDeployment) -> bool:
        """Whether the erasure order is on disk: the deployment is then erased even if this program dies."""
        try:
            await self._edges.disk(lambda: self.erasure_orders.place(active))
        except Unavailable as fault:
            if str(fault) != self._problem:
                event(_log, "deployment.none", problem=str(fault))
            self._problem = str(fault)
            return False
        self._problem = ""
        return True

    def tick(self) -> None:
        """One round (rule 1). Raises the exception that ended a worker's supervisor."""
        self._pool.check()
        self.snapshot = self._look()
        self.evaluations = evaluation.evaluate(self.snapshot)
        self._transitions.observe(self.evaluations)
        now = int(self._edges.clock.monotonic())
        if not evaluation.may_watch(self.evaluations):
            self._clear_since_ns = None
        elif self._clear_since_ns is None:
            self._clear_since_ns = now
        clear_s = 0.0 if self._clear_since_ns is None else (now - self._clear_since_ns) / NS_PER_S
        while (what := policy.next_event(self.state, self.evaluations, clear_s, self._over())) is not None:
            self._move(what)
        self._pool.set_wanted(
            policy.workers_wanted(self.state, self.evaluations, clear_s, self._pool.wanted), self._why()
        )
        self._act()
        self._pool.renew_leases()

    async def rest(self) -> None:
        """Wait until the next tick is due or an event wakes the loop."""
        if await set_within(self.woken, TICK_S):
            self.woken.clear()

    async def stop_workers_and_sign(self) -> None:
        """Stop every worker; the sign is switched off only after the last process has exited (rule 2)."""
        await asyncio.gather(self._pool.stop_all(), self._commissioning.close())
        self._drive_sign(False)
        self.indicators.light(Lamp.RECOGNISING, False)

    def erased(self) -> None:
        """Record that nothing of the deployment is left."""
        self.active = None
        self._move(Event.ERASED)

    def press_stop(self, who: str, officer: str | None = None) -> None:
        """STOP, by button or hub: stays pressed until `resume` or a restart."""
        event(_log, "stop.pressed", level=NOTICE, who=who)
        self._audit.note("stop", "R13", reason=who.lower(), officer=officer)
        self.requests.stop = who
        self.woken.set()

    def watch_stop(self) -> None:
        """Watch the STOP contact. A contact that is open at the start (pressed, or its wire is cut) counts as STOP."""
        loop = asyncio.get_running_loop()

        def pressed() -> None:
            loop.call_soon_threadsafe(self.press_stop, "the STOP button is pressed, or its wire is cut")

        try:
            self._edges.lines.on_stop(pressed)
        except GpioUnavailable as fault:
            self.press_stop(f"the STOP contact cannot be read: {fault}")

    def tampered(self) -> None:
        """The tamper line: erase everything now, whatever the retention policy, delivered to the hub or not."""
        if not self.requests.tampered:
            event(_log, "tamper", level=logging.ERROR)
            self._audit.note("tamper", "R04")
        self.requests.tampered = self.requests.end = self.requests.hurry = True
        self.woken.set()

    def command(self, command: Command) -> None:
        """Carry out a command of the hub that is to be obeyed (supervisor/commands.py)."""
        if command.name == "stop":
            self.press_stop("the hub sent stop", command.given_by)
        elif command.name == "resume":
            event(_log, "stop.released", level=NOTICE)
            self._audit.note("resume", "R13", officer=command.given_by)
            self.requests.stop = None
            self.watch_stop()
            self.woken.set()
        else:
            self._audit.note("sync", officer=command.given_by)
            self.deployment_sync.hurry()

    def leave(self, exit_status: int) -> None:
        """End on a signal; a second one shortens every wait. A recorded test or demonstration ends its deployment."""
        self.requests.hurry = self.requests.leave is not None
        self.requests.leave = exit_status
        self.woken.set()

    @property
    def mode(self) -> Mode | None:
        """The deployment that is loaded or offered; None without one."""
        return None if self.snapshot.deployment is None else self.snapshot.deployment.mode

    @property
    def idle(self) -> bool:
        """Whether no deployment is loaded or offered."""
        return self.active is None and self.snapshot.deployment is None

    @property
    def ending(self) -> bool:
        """Whether the deployment is being erased."""
        return self.state is State.ENDING

    @property
    def throwaway(self) -> bool:
        """Whether the deployment exists for this run only: recorded sources outside operational mode."""
        view = self.snapshot.deployment
        return not self._config.live and view is not None and view.mode.value != "operational"

    def _over(self) -> bool:
        """Whether the deployment is over: asked for, its recordings have ended, or its time has."""
        if self.active is None:
            return False
        leaving = self.requests.leave is not None and self.throwaway
        return self.requests.end or self.deployment_sync.over or leaving or self._pool.finished or self._window_past()

    def _window_past(self) -> bool:
        clock, trusted = self._edges.clock, self.snapshot.clock_synchronised or not self.snapshot.strict
        if self.active is not None and self.erasure_orders.over(self.active):
            return True
        return self._window is not None and self._window.past(clock.wall(), clock.monotonic(), trusted=trusted)

    def _look(self) -> Snapshot:
        active, reports = self.active, self._pool.reports
        now, synchronised = self._edges.clock.wall(), self._edges.clock.synchronised()
        return Snapshot(
            live=self._config.live,
            deployment=(self.deployment_sync.view(now) if active is None else active.view(self._config.device, now)),
            deployment_problem=self._problem or self.deployment_sync.why(),
            refusals=self.deployment_sync.refusals(now),
            incomplete=reports.incomplete_entries(),
            watchlists=reports.watchlists(),
            operating_points=reports.operating_points(),
            engines=reports.engine_problems(),
            protections=reports.protections(),
            references=reports.disagreements(),
            cameras=self._pool.views(),
            camera_problems=self._pool.problems(),
            camera_faults=self._pool.faults(),
            sign=self.sign.view(),
            hub_absent_s=self._hub.absent_s(),
            link=self._hub.link,
            operator=self._hub.operator,
            clock_synchronised=synchronised,
            clock_set_back=self._clock_setback.finding(now, self._edges.clock.monotonic(), trusted=synchronised),
            disk_free_bytes=self.host.disk_free_bytes,
            unkept=self._not_kept(),
            thermal=self.host.thermal,
            stop=self.requests.stop,
        )

    def _not_kept(self) -> str:
        """What the state folder does not keep, the first finding."""
        refusal = self.host.refusal
        found = {"state folder": refusal, "deployment": self.deployment_sync.unkept, **self._kept_by()}
        return next((f"{what}: {problem}" for what, problem in found.items() if problem), "")

    def _act(self) -> None:
        """Switch sign and lamps as the state requires."""
        loaded = self.active is not None
        asked = self._view_asked() and not self.requests.tampered
        self._commissioning.follow(self.state, self.snapshot, asked=asked, loaded=loaded)
        any_worker = self._pool.alive or self._commissioning.alive
        commissioning = self._commissioning.wanted
        self._drive_sign(policy.sign_wanted(self.state, self.evaluations, any_worker, commissioning=commissioning))
        recent = self._alerts.last_raised_ns
        alert = recent is not None and self._edges.clock.monotonic() - recent < ALERT_LAMP_S * NS_PER_S
        self.indicators.light(Lamp.RECOGNISING, self.state is State.RECOGNISING)
        self.indicators.light(Lamp.ALERT, alert)
        fault = policy.fault_lamp_wanted(self.state, self.snapshot)
        self.indicators.light(Lamp.FAULT, fault)
        self.indicators.light(Lamp.HUB, self.snapshot.hub_absent_s == 0)
        self.indicators.show(code_of(self.state, self.evaluations, fault=fault))

    def _drive_sign(self, lit: bool) -> None:
        before = self.sign.driven
        try:
            self.sign.drive(lit)
        except GpioUnavailable as fault:
            event(_log, "sign.cannot_be_driven", level=logging.ERROR, lit=lit, problem=str(fault))
        if self.sign.driven is not before:
            event(_log, "sign.switched", lit=self.sign.driven)
            self._audit.note("sign", "R15", event="lit" if self.sign.driven else "dark")

    def _why(self) -> str:
        wrong = evaluation.failing(self.evaluations)
        return wrong[0].condition.name if wrong else f"state {self.state.value}"

    def _move(self, what: Event) -> None:
        before, self.state = self.state, step(self.state, what)
        if before is State.RECOGNISING and what is Event.INHIBIT and evaluation.sign_condition_fails(self.evaluations):
            self.sign.counts.stops += 1
        self.since = self._edges.clock.wall()
        self.ever_recognised = self.ever_recognised or self.state is State.RECOGNISING
        wrong = evaluation.failing(self.evaluations)
        rule = wrong[0].condition.rule if wrong else ""
        event(
            _log,
            "state",
            level=NOTICE,
            was=before.value,
            now=self.state.value,
            event=what.value,
            why=self._why(),
            rule=rule,
        )
        self._note_state(before, what)
        self.woken.set()

    def _note_state(self, before: State, what: Event) -> None:
        """Log the change with the condition that caused it: the first that fails, or that is no longer known."""
        unmet = self.evaluations if self.state is State.INHIBITED else evaluation.failing(self.evaluations)
        first = next((r for r in (*evaluation.failing(unmet), *evaluation.pending(unmet))), None)
        fields = {"was": before.value, "now": self.state.value, "event": what.value}
        if first is not None:
            fields |= {"condition": first.condition.name.lower(), "result": first.result.value}
        self._audit.note("state", None if first is None else first.condition.rule, **fields)
