"""The workers of all cameras: created when a deployment is loaded, started and stopped together.

Their messages arrive here and go on to the reports, the passage counts, the alert service and the journal. A camera
that fails never stops another.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from device.config.model import Camera, DeviceConfig
from device.domain.camera_fault import CameraFault
from device.domain.finding import VolunteerFinding
from device.errors import ConfigError, InternalError, LfrError, SourceUnreadable, Unavailable
from device.ports.audit import Audit
from device.supervisor.alerts.service import AlertService, Origin
from device.supervisor.conditions.snapshot import CameraView
from device.supervisor.deployment.active import ActiveDeployment
from device.supervisor.edges import Edges
from device.supervisor.timing import Budget
from device.supervisor.workers.journal import WorkerJournal
from device.supervisor.workers.passage_counts import PassageCounts
from device.supervisor.workers.reports import WorkerReports
from device.supervisor.workers.supervisor import WorkerRun, WorkerSupervisor
from device.wire.link import (
    Beat,
    CandidateRaised,
    FromWorker,
    Hello,
    JournalLine,
    View,
    ViewPicture,
    VolunteerRecognised,
    WatchlistLoaded,
    Withdraw,
    Withdrawn,
    WithdrawVolunteers,
)

UNREADABLE = (65, 78)  # exit statuses for input that is broken in itself: nobody was compared in it


class WorkerPool:
    """One `WorkerSupervisor` a camera. `on_change` is called on the loop when something was reported."""

    def __init__(
        self,
        config: DeviceConfig,
        edges: Edges,
        *,
        alerts: AlertService,
        audit: Audit,
        budget: Budget,
        on_change: Callable[[], None],
        on_view: Callable[[str, bytes], None] = lambda *_: None,
        applied: Callable[[Camera], Camera] = lambda camera: camera,
        on_volunteer: Callable[[str, VolunteerFinding], None] = lambda *_: None,
    ) -> None:
        """on_view: takes a camera's picture of the live view. applied: a camera with the zone that was set for it.

        on_volunteer: called with the camera and a volunteer of the blue list who was recognised there
        """
        self._applied = applied
        self._on_view = on_view
        self.counts = PassageCounts()
        self.reports = WorkerReports()
        self.wanted = False
        self._config = config
        self._edges = edges
        self._alerts = alerts
        self._audit = audit
        self._budget = budget
        self._on_change = on_change
        self._on_volunteer = on_volunteer
        self._journal = WorkerJournal(edges.clock)
        self._workers: dict[str, WorkerSupervisor] = {}
        self._active: ActiveDeployment | None = None

    def load(self, active: ActiveDeployment) -> None:
        """Create the supervisors of this deployment's workers; no worker starts yet."""
        self._active = active
        for camera in self._config.cameras:
            self._workers[camera.id] = self._supervised(camera, active)

    def set_wanted(self, wanted: bool, reason: str) -> None:
        """Let every worker run, or none."""
        self.wanted = wanted
        for worker in self._workers.values():
            worker.set_wanted(wanted, reason)

    def renew_leases(self) -> None:
        """Tell every running worker that the loop is alive."""
        for worker in self._workers.values():
            worker.renew_lease()

    def withdraw(self, refs: frozenset[str]) -> None:
        """Zero these entries in every running worker; later ones get them with their assignment."""
        for worker in self._workers.values():
            worker.send(Withdraw(refs=tuple(sorted(refs))))

    def show_view(self, recipient: str | None) -> None:
        """Have every running worker show the live view to this recipient for 3 s, or to nobody."""
        for worker in self._workers.values():
            worker.send(View(recipient=recipient))

    def withdraw_volunteers(self, refs: frozenset[str]) -> None:
        """Zero these volunteers of the blue list in every running worker; later ones do not get them."""
        for worker in self._workers.values():
            worker.send(WithdrawVolunteers(refs=tuple(sorted(refs))))

    def check(self) -> None:
        """Raise the defect that ended a worker's supervisor, if any did."""
        for worker in self._workers.values():
            worker.check()

    async def stop_all(self) -> None:
        """Stop every worker; returns when no process is left."""
        await asyncio.gather(*(worker.close() for worker in self._workers.values()))

    def clear(self) -> None:
        """Drop the watchlist and every alert from memory; the counts stay."""
        self._active = None
        self.reports.clear()
        self._alerts.clear()

    @property
    def alive(self) -> bool:
        """Whether any worker process may exist."""
        return any(worker.alive for worker in self._workers.values())

    @property
    def finished(self) -> bool:
        """Whether every camera's recording is over and people may have been compared."""
        return self._all_ended and self.unrecoverable is None

    @property
    def unrecoverable(self) -> LfrError | None:
        """Why nothing could be recognised at all: no recording could be read, or no worker opened its list."""
        workers = self._workers.values()
        compared = [w.watchlist_opened and w.exit_status not in UNREADABLE for w in workers]
        if not self._all_ended or any(compared) or any(not worker.exit_status for worker in workers):
            return None
        statuses, problems = {worker.exit_status for worker in workers}, tuple(self.problems().values())
        if ConfigError.exit_status in statuses:
            return ConfigError("worker", problems)
        kind: type[LfrError] = InternalError
        if statuses <= {Unavailable.exit_status, SourceUnreadable.exit_status}:
            kind = SourceUnreadable if SourceUnreadable.exit_status in statuses else Unavailable
        return kind("; ".join(problems))

    @property
    def exit_status(self) -> int:
        """The exit status of a recording that broke off, the highest of all cameras; 0 when none did."""
        return max((worker.exit_status for worker in self._workers.values()), default=0)

    def views(self) -> dict[str, CameraView]:
        """The state of each camera."""
        workers = self._workers
        return {c.id: workers[c.id].view if c.id in workers else CameraView.STOPPED for c in self._config.cameras}

    def problems(self) -> dict[str, str]:
        """The problem of each camera's worker; cameras without a problem are left out."""
        return {camera: worker.problem for camera, worker in self._workers.items() if worker.problem}

    def faults(self) -> dict[str, CameraFault]:
        """The fault of each camera whose worker reports one, those included that do not stop it."""
        return {camera: worker.fault for camera, worker in self._workers.items() if worker.fault is not None}

    @property
    def _all_ended(self) -> bool:
        return bool(self._workers) and all(worker.ended and not worker.alive for worker in self._workers.values())

    def _supervised(self, camera: Camera, active: ActiveDeployment) -> WorkerSupervisor:
        return WorkerSupervisor(
            camera.id,
            assignment=lambda: active.assignment(
                self._applied(camera), self._config, self._edges.models_dir, size=self._workers[camera.id].size
            ),
            launcher=self._edges.launcher,
            clock=self._edges.clock,
            on_message=lambda run, message: self._on_message(camera, run, message),
            on_end=lambda run: self._on_end(camera, run),
            budget=self._budget,
            recorded=not camera.live,
        )

    def _on_end(self, camera: Camera, run: WorkerRun) -> None:
        """A worker process is gone."""
        self.counts.run_ended(camera.id, run)
        self._audit.note("worker", camera=camera.id, count=run.number, exit_status=run.exit_status)
        self.reports.worker_ended(camera.id)
        self._on_change()

    def _on_message(self, camera: Camera, run: WorkerRun, message: FromWorker) -> None:
        """Pass one message of a worker on; a beat and a line of the journal change no condition at once."""
        if isinstance(message, Beat):
            self.reports.beat(camera.id, message)
            self.counts.update(camera.id, run.number, message.counters)
            return
        if isinstance(message, VolunteerRecognised):
            self._on_volunteer(camera.id, message.finding)
            return
        if isinstance(message, JournalLine):
            self._journal.log(camera.id, message)
            return
        if isinstance(message, ViewPicture):
            self._on_view(camera.id, message.sealed)
            return
        if isinstance(message, Hello):
            self.reports.hello(camera.id, message)
        elif isinstance(message, WatchlistLoaded):
            self.reports.watchlist_loaded(camera.id, message)
        elif isinstance(message, Withdrawn):
            self.reports.entries_withdrawn(camera.id, message)
        elif isinstance(message, CandidateRaised):
            self._candidate(camera, run, message)
        self._on_change()

    def _candidate(self, camera: Camera, run: WorkerRun, message: CandidateRaised) -> None:
        """Raise or revise the alert of a passage, and count a new one."""
        passage = (camera.id, run.number, message.candidate.passage)
        origin = Origin(
            camera=camera, active=self._active, watchlist=self.reports.watchlist, engine=self.reports.engine
        )
        raised = self._alerts.candidate(passage, origin, message)
        if raised is not None:
            self.counts.alert_raised(camera.id, run.number)
