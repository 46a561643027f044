"""Supervises one camera's worker: starts it while it is wanted, checks its deadlines, restarts it, stops it.

1. A worker runs only while it is wanted. When it no longer is: Stop, grace_s to wipe and send Finished, gone_s to
   exit, then SIGKILL.
2. Hello, the watchlist and every beat have deadlines (timing.py, Budget); a worker past one is killed and restarted.
3. Restarts are budgeted. Past the budget the camera is `disabled` with its problem, and restarted every cool_off_s.
4. A lost live camera ends its worker, and that is not a crash: the camera is `offline` and its worker is restarted
   until the camera is back, with pauses of at most lost_most_s. The budget does not count these.
5. A worker holds a lease on the supervisor's loop, which renews it (`renew_lease`): a loop that hangs ends its workers.
6. The worker of a recording is not restarted when it fails: the next one would read from the beginning and count
   people twice. The camera has ended then, with `exit_status`: the worker's own, or 70 when it ended without a Fault.
7. Hello and WatchlistLoaded hold the longest texts of the link. A worker sends each once, before it opens its camera;
   a second one is not passed on and ends it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec

from device.domain.camera_fault import FAULTS, CameraFault, fault_of
from device.domain.time import NS_PER_S
from device.errors import InternalError, LfrError, SourceLost
from device.logs import event
from device.ports.clock import Clock
from device.supervisor.conditions.snapshot import CameraView
from device.supervisor.runtime.timeouts import result_within
from device.supervisor.timing import LEASE_EVERY_S, WORKER_CLOSE_POLL_S, Budget
from device.supervisor.workers.process import Launcher, WorkerLink
from device.wire.link import (
    PROTOCOL,
    Assignment,
    Beat,
    Commission,
    Fault,
    Finished,
    FromWorker,
    Hello,
    Lease,
    Stop,
    ToWorker,
    WatchlistLoaded,
)

_log = logging.getLogger(__name__)
ENDED_SILENTLY = "the worker ended without a message"
CRASHED = InternalError.exit_status


@dataclass(slots=True)
class WorkerRun:
    """One run of a worker process, as far as it has reported.

    problem  why it ended or must end; empty while there is no problem
    lost     it ended because its live camera was lost
    """

    number: int
    hello: Hello | None = None
    watchlist: WatchlistLoaded | None = None
    beat: Beat | None = None
    finished: Finished | None = None
    stopped: bool = False
    problem: str = ""
    fault: Fault | None = None
    lost: bool = False
    exit_status: int | None = None


@dataclass(slots=True)
class _Inbox:
    """Messages of the worker and, in the same queue, the request to stop: handled in the order of arrival."""

    queue: asyncio.Queue[FromWorker | LfrError | Stop | None] = field(default_factory=asyncio.Queue)


class WorkerSupervisor:
    """One camera's worker, over all its runs.

    assignment  makes the first message of each run
    on_message  receives every message of the worker with its run, on the loop
    on_end      a run is over: its `finished`, or else its last `beat`, holds the final counters
    """

    def __init__(
        self,
        camera_id: str,
        *,
        assignment: Callable[[], Assignment | Commission],
        launcher: Launcher,
        clock: Clock,
        on_message: Callable[[WorkerRun, FromWorker], None],
        on_end: Callable[[WorkerRun], None],
        budget: Budget,
        recorded: bool = False,
    ) -> None:
        self.camera_id = camera_id
        self.view = CameraView.STOPPED
        self.problem = ""
        self.fault: CameraFault | None = None
        """What its running worker finds wrong with the camera, also when that does not stop it."""
        self.size: tuple[int, int] | None = None
        """Width and height of the first pictures of this deployment; a later run gets it with its assignment."""
        self.exit_status = 0
        self.watchlist_opened = False
        """Whether any worker of this camera opened its watchlist, so that people may have been compared."""
        self.run: WorkerRun | None = None
        self._assignment = assignment
        self._launcher = launcher
        self._clock = clock
        self._on_message = on_message
        self._on_end = on_end
        self._budget = budget
        self._recorded = recorded
        self.alive = False
        """Whether a worker process may exist: then the sign stays lit."""
        self._link: WorkerLink | None = None
        self._leased_ns = 0
        self._inbox = _Inbox()
        self._wanted = asyncio.Event()
        self._failures: list[int] = []
        self._camera_losses: list[int] = []
        self._runs = 0
        self._task: asyncio.Task[None] | None = None

    @property
    def ended(self) -> bool:
        """Whether this camera's recording is over, or can never be read."""
        return self.view is CameraView.ENDED

    def set_wanted(self, wanted: bool, reason: str = "") -> None:
        """Let this camera's worker run, or stop it at once (rule 1). reason: for Stop."""
        if wanted == self._wanted.is_set() or self.ended:
            return
        if wanted:
            self._wanted.set()
            if self._task is None:
                self._task = asyncio.create_task(self._supervise())
            return
        self._wanted.clear()
        self._inbox.queue.put_nowait(Stop(reason=reason))

    def send(self, message: ToWorker) -> None:
        """Send a message to the running worker; without one it is dropped."""
        if self._link is not None:
            self._link.send(message)

    def renew_lease(self) -> None:
        """Called by the supervisor's loop in each round (rule 5)."""
        now = int(self._clock.monotonic())
        if self._link is not None and now - self._leased_ns >= LEASE_EVERY_S * NS_PER_S:
            self._leased_ns = now
            self._link.send(Lease())

    def check(self) -> None:
        """Raise the exception that ended this supervisor: a defect must not leave a camera unwatched unnoticed."""
        if self._task is not None and self._task.done() and not self._task.cancelled():
            self._task.result()

    async def close(self) -> None:
        """Stop for good; returns when no process is left."""
        self.set_wanted(False, "the supervisor stops")
        while self.alive:
            await asyncio.sleep(WORKER_CLOSE_POLL_S)
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _supervise(self) -> None:
        while not self.ended:
            await self._wanted.wait()
            if self.view in (CameraView.STOPPED, CameraView.STARTING):
                self.view = CameraView.STARTING
            self._runs += 1
            run = self.run = WorkerRun(self._runs)
            self.alive = True
            try:
                await self._run_once(run)
            finally:
                self.alive = False
            self.fault = None
            self._on_end(run)
            await self._after_run(run)

    async def _after_run(self, run: WorkerRun) -> None:
        """End with the recording, wait until wanted again, or pause before the next run (rules 3, 4, 6)."""
        if run.finished is not None and not run.stopped and self._recorded:
            self.view = CameraView.ENDED
        elif run.stopped or not run.problem:
            self.view = CameraView.STOPPED
        elif self._recorded:
            self.view, self.problem = CameraView.ENDED, run.problem
            self.exit_status = CRASHED if run.fault is None else run.fault.exit_status
            event(_log, "worker.crashed", level=logging.ERROR, camera=self.camera_id, problem=run.problem)
        elif run.lost:
            await self._wait_for_camera(run)
        else:
            await self._wait_to_restart(run)

    async def _wait_for_camera(self, run: WorkerRun) -> None:
        """Pause before the next attempt to open a lost camera (rule 4)."""
        self._camera_losses = self._recent(self._camera_losses)
        self.view = CameraView.OFFLINE
        self.problem = f"{run.problem} (retried until it is back)"
        event(_log, "camera.lost", level=logging.WARNING, camera=self.camera_id, problem=run.problem)
        wait_s = self._budget.first_wait_s * 2.0 ** min(len(self._camera_losses) - 1, 10)
        await asyncio.sleep(min(wait_s, self._budget.lost_most_s))

    def _recent(self, moments: list[int]) -> list[int]:
        """The moments of the last within_s, and now."""
        now = int(self._clock.monotonic())
        since = now - round(self._budget.within_s * NS_PER_S)
        return [at for at in moments if at > since] + [now]

    async def _wait_to_restart(self, run: WorkerRun) -> None:
        self._failures = self._recent(self._failures)
        exhausted = len(self._failures) > self._budget.restarts
        self.view = CameraView.DISABLED if exhausted else CameraView.RESTARTING
        tries = f"restart {len(self._failures)} of {self._budget.restarts}"
        self.problem = f"{run.problem} ({'restart budget exhausted' if exhausted else tries})"
        name = "worker.disabled" if exhausted else "worker.failed"
        count = len(self._failures)
        event(_log, name, level=logging.WARNING, camera=self.camera_id, problem=run.problem, failures=count)
        wait_s = self._budget.first_wait_s * 2.0 ** min(len(self._failures) - 1, 4)
        await asyncio.sleep(self._budget.cool_off_s if exhausted else wait_s)
        if exhausted:
            self._failures.clear()
        self.view = CameraView.RESTARTING

    async def _run_once(self, run: WorkerRun) -> None:
        """One process from its start until it is gone; what went wrong is in run.problem."""
        self._inbox = _Inbox()
        try:
            self._link = link = await self._launcher(self.camera_id)
        except LfrError as fault:
            run.problem = str(fault)
            return
        reader = asyncio.create_task(self._receive(link))
        event(_log, "worker.started", camera=self.camera_id, run=run.number)
        try:
            lease_s = self._budget.recorded_lease_s if self._recorded else self._budget.lease_s
            link.send(msgspec.structs.replace(self._assignment(), lease_s=lease_s))
            await self._serve(run, link)
        except LfrError as fault:
            run.problem = str(fault)
        finally:
            await self._reap(run, link, reader)

    async def _reap(self, run: WorkerRun, link: WorkerLink, reader: asyncio.Task[None]) -> None:
        """Wait until the process is gone. It is reported as gone only then: the sign stays lit until that moment."""
        if run.finished is None:
            link.kill()
        reader.cancel()
        try:
            within_s = self._budget.gone_s if run.stopped else self._budget.exit_s
            status = await result_within(link.ended(), within_s)
        except asyncio.TimeoutError:
            link.kill()
            status = await link.ended()
        self._link = None
        run.exit_status = status
        if run.problem == ENDED_SILENTLY and status:
            run.problem += f" (signal {-status})" if status < 0 else f" (exit status {status})"
        event(_log, "worker.ended", camera=self.camera_id, run=run.number, status=status)

    async def _receive(self, link: WorkerLink) -> None:
        """Move the worker's messages into the inbox until its end."""
        inbox = self._inbox.queue
        try:
            while (message := await link.receive()) is not None:
                inbox.put_nowait(message)
            inbox.put_nowait(None)
        except LfrError as fault:
            inbox.put_nowait(fault)

    async def _serve(self, run: WorkerRun, link: WorkerLink) -> None:
        """Handle messages until the worker is finished, fails, or is past a deadline (rules 1, 2)."""
        run.stopped = not self._wanted.is_set()
        loop = asyncio.get_running_loop()
        last = loop.time() + self._budget.grace_s
        while not run.stopped or loop.time() < last:
            limit_s, what = self._next_deadline(run)
            try:
                wait_s = last - loop.time() if run.stopped else limit_s
                message = await result_within(self._inbox.queue.get(), wait_s)
            except asyncio.TimeoutError:
                run.problem = "" if run.stopped else f"no {what} within {limit_s:g} s"
                return
            if isinstance(message, Stop):
                run.stopped, last = True, loop.time() + self._budget.grace_s
                link.send(message)
                continue
            if message is None or isinstance(message, LfrError):
                run.problem = "" if run.stopped else str(message or ENDED_SILENTLY)
                return
            if _is_repeated(run, message):
                run.problem = f"the worker sent a second {type(message).__name__}"
                return
            self._record_message(run, message)
            self._on_message(run, message)
            if run.finished is not None or run.problem:
                return

    def _next_deadline(self, run: WorkerRun) -> tuple[float, str]:
        """How long the worker may be silent now, and which message is due (rule 2)."""
        opened = run.watchlist is not None or run.beat is not None  # a commissioning worker has no list
        if opened and self._recorded:
            return self._budget.recorded_beat_s, "beat"
        if opened:
            return (self._budget.beat_s if run.beat is not None else self._budget.first_beat_s), "beat"
        due = "Hello" if run.hello is None else "watchlist"
        if self._recorded:
            return self._budget.recorded_start_s, due
        return (self._budget.hello_s if run.hello is None else self._budget.watchlist_s), due

    def _record_message(self, run: WorkerRun, message: FromWorker) -> None:
        """Keep what a message reports of this run and this camera."""
        if isinstance(message, Hello):
            run.hello = message
            if message.protocol != PROTOCOL:
                run.problem = f"the worker uses protocol {message.protocol}, this supervisor {PROTOCOL}"
        elif isinstance(message, WatchlistLoaded):
            run.watchlist = message
            self.watchlist_opened = True
            if self._recorded:
                self.view, self.problem = CameraView.ONLINE, ""
        elif isinstance(message, Beat):
            run.beat = message
            self._record_beat(message)
        elif isinstance(message, Finished):
            run.finished = message
            if not run.stopped and not self._recorded:
                run.problem, run.lost = f"the source ended: {message.reason}", True
                self._record_loss(run)
        elif isinstance(message, Fault):
            run.problem = f"{message.error}: {message.text}"
            run.fault, run.lost = message, message.error == SourceLost.__name__
            if run.lost:
                self._record_loss(run)

    def _record_loss(self, run: WorkerRun) -> None:
        """The camera is lost from now on, not only when its worker's process is gone."""
        self.view, self.problem, self.fault = CameraView.OFFLINE, run.problem, None

    def _record_beat(self, beat: Beat) -> None:
        """Keep the camera's view, fault and size; a beat of a recording that has ended changes no view."""
        if not self._recorded:
            self.size = self.size or beat.size
        stops = fault_of(beat.camera)
        self.fault = stops or fault_of(beat.warning)
        if stops is not None:
            self.view, self.problem = CameraView(stops.value), FAULTS[stops].advice
        elif beat.camera in (CameraView.ONLINE, CameraView.OFFLINE):
            self.view, self.problem = CameraView(beat.camera), ""


def _is_repeated(run: WorkerRun, message: FromWorker) -> bool:
    """Whether a message that a worker sends once came again (rule 7)."""
    if isinstance(message, Hello):
        return run.hello is not None
    return isinstance(message, WatchlistLoaded) and run.watchlist is not None
