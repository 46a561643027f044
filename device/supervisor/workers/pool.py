"""The workers of all cameras: hired when a deployment is loaded, wanted or not together, each kept by itself.

What they say arrives here and goes on to the ledger and the alert desk. One bad camera never stops another.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from device.config.model import Camera, DeviceConfig
from device.domain.time import rfc3339, wall
from device.errors import ConfigError, InternalError, LfrError, LinkBroken, SourceUnreadable, Unavailable
from device.hub_api import alert_builder, messages
from device.supervisor.alerts.service import AlertService
from device.supervisor.conditions.snapshot import CameraView, OperatingView
from device.supervisor.deployment.active import ActiveDeployment
from device.supervisor.edges import Edges
from device.supervisor.status import view
from device.supervisor.status.hub import Hub
from device.supervisor.workers.journal import Sayings
from device.supervisor.workers.passage_counts import PassageCounts
from device.supervisor.workers.supervisor import Budget, WorkerRun, WorkerSupervisor
from device.wire.link import (
    Assignment,
    Beat,
    CandidateRaised,
    FromWorker,
    Hello,
    Probe,
    ProbeWanted,
    Said,
    WatchlistLoaded,
    Withdraw,
    Withdrawn,
)

BROKEN = (65, 78)  # exit statuses for input that is broken in itself: nobody was seen in it
EXPIRES_S = 900.0
"""How long an undelivered alert is worth delivering: after a quarter of an hour nobody can act on it."""


class WorkerPool:
    """All keepers, and what their workers told."""

    def __init__(
        self,
        config: DeviceConfig,
        edges: Edges,
        *,
        hub: Hub,
        alerts: AlertService,
        boot_id: str,
        budget: Budget,
    ) -> None:
        self.counts = PassageCounts()
        self.engine: messages.Engine | None = None
        self.watchlist: WatchlistLoaded | None = None
        self.beats: dict[str, Beat] = {}
        self.sign_sensed = False
        self.wanted = False
        self._config = config
        self._edges = edges
        self._hub = hub
        self._alerts = alerts
        self._boot_id = boot_id
        self._on_change: Callable[[], None] = lambda: None
        self._budget = budget
        self._workers: dict[str, WorkerSupervisor] = {}
        self._engine_problems: dict[str, str] = {}
        self._protections: dict[str, frozenset[str]] = {}
        self._disagreements: dict[str, str] = {}
        self._sayings = Sayings(edges.clock)
        self._watchlists: dict[str, tuple[str, str, int, int]] = {}
        self._operating: dict[str, OperatingView] = {}
        self._incomplete: dict[str, int] = {}
        self._withdrawn: dict[str, int] = {}
        self._active: ActiveDeployment | None = None

    def load(self, active: ActiveDeployment, on_change: Callable[[], None]) -> None:
        """One keeper per camera for this deployment; nothing starts yet. `on_change`: something was told."""
        self._on_change = on_change
        self._active = active
        for camera in self._config.cameras:
            self._workers[camera.id] = self._supervise_camera(camera, active)

    def want(self, wanted: bool, reason: str) -> None:
        """Let every worker run, or none."""
        self.wanted = wanted
        for worker in self._workers.values():
            worker.want(wanted, reason)

    def withdraw(self, refs: frozenset[str]) -> None:
        """No worker looks for these entries any more; the next ones get them with their assignment."""
        for worker in self._workers.values():
            worker.send(Withdraw(refs=tuple(sorted(refs))))

    def check(self) -> None:
        """Raise the defect that ended a keeper, if any did."""
        for worker in self._workers.values():
            worker.check()

    async def stop_all(self) -> None:
        """Stop every worker; returns when no process is left."""
        await asyncio.gather(*(worker.close() for worker in self._workers.values()))

    def forget(self) -> None:
        """Nothing of the watchlist or of any alert stays in memory; the counts do."""
        self.watchlist = None
        self._active = None
        self._watchlists.clear()
        self._operating.clear()
        self._incomplete.clear()
        self._withdrawn.clear()
        self._alerts.forget()

    @property
    def alive(self) -> bool:
        """Whether any worker process may exist."""
        return any(worker.alive for worker in self._workers.values())

    @property
    def finished(self) -> bool:
        """Whether every camera's recording is over and somebody may have been compared."""
        return self._all_ended and self.unrecoverable is None

    @property
    def unrecoverable(self) -> LfrError | None:
        """Why nothing could be recognised at all: no recording could be read, or no worker got so far."""
        workers = self._workers.values()
        if not self._all_ended or any(
            not worker.exit_status or (worker.watchlist_opened and worker.exit_status not in BROKEN)
            for worker in workers
        ):
            return None
        statuses, words = {worker.exit_status for worker in workers}, tuple(self.problems().values())
        if ConfigError.exit_status in statuses:
            return ConfigError("worker", words)
        kind: type[LfrError] = InternalError
        if statuses <= {Unavailable.exit_status, SourceUnreadable.exit_status}:
            kind = SourceUnreadable if SourceUnreadable.exit_status in statuses else Unavailable
        return kind("; ".join(words))

    @property
    def fault(self) -> int:
        """The exit status of a recording that broke off, the worst of all cameras; 0 when none did."""
        return max((worker.exit_status for worker in self._workers.values()), default=0)

    @property
    def last_alert_ns(self) -> int | None:
        return self._alerts.last_raised_ns

    @property
    def threshold(self) -> tuple[float, str] | None:
        """The threshold in use and where it comes from."""
        return None if self.watchlist is None else (self.watchlist.threshold, self.watchlist.threshold_source)

    def views(self) -> dict[str, CameraView]:
        """Each camera as it stands."""
        workers = self._workers
        return {c.id: workers[c.id].view if c.id in workers else CameraView.STOPPED for c in self._config.cameras}

    def problems(self) -> dict[str, str]:
        """What is wrong with each camera's worker, in words; cameras without a problem are left out."""
        return {camera: worker.problem for camera, worker in self._workers.items() if worker.problem}

    def watchlists(self) -> tuple[tuple[str, str, int, int], ...]:
        """Id, hash, subjects, images as each worker opened its list."""
        return tuple(self._watchlists.values())

    def operating_points(self) -> tuple[OperatingView, ...]:
        """What each worker that opened its list says of its threshold."""
        return tuple(self._operating.values())

    def incomplete_entries(self) -> tuple[int, ...]:
        """How many entries of each worker's list lack a category or a source."""
        return tuple(self._incomplete.values())

    @property
    def withdrawn(self) -> int:
        """Entries that every worker with a list has zeroed."""
        return min((self._withdrawn.get(camera, 0) for camera in self._watchlists), default=0)

    def engine_problems(self) -> tuple[str, ...]:
        """What is wrong with each engine that answered; empty text when nothing is."""
        return tuple(self._engine_problems.values())

    def protections(self) -> tuple[frozenset[str], ...]:
        """What the kernel granted to each worker that answered, by name."""
        return tuple(self._protections.values())

    def disagreements(self) -> tuple[str, ...]:
        """How each engine that answered differs from its golden tensors; empty text when it does not."""
        return tuple(self._disagreements.values())

    @property
    def _all_ended(self) -> bool:
        return bool(self._workers) and all(worker.ended and not worker.alive for worker in self._workers.values())

    def _supervise_camera(self, camera: Camera, active: ActiveDeployment) -> WorkerSupervisor:
        def assignment() -> Assignment:
            return active.assignment(camera, self._config, self._edges.models_dir)

        def on_message(run: WorkerRun, message: FromWorker) -> None:
            self._on_message(camera, run, message)

        def ended(run: WorkerRun) -> None:
            self.counts.run_ended(camera.id, run)
            self._edges.audit.note("worker", camera=camera.id, count=run.number, exit_status=run.exit_status)
            self.beats.pop(camera.id, None)
            self._on_change()

        return WorkerSupervisor(
            *(camera.id, assignment, self._edges.launcher, self._edges.clock, on_message, ended),
            budget=self._budget,
            recorded=not camera.live,
        )

    def _on_message(self, camera: Camera, run: WorkerRun, message: FromWorker) -> None:
        """Sort one message of a worker."""
        if isinstance(message, Hello):
            named = all(len(sha) == 64 for sha in (message.detector_sha256, message.recogniser_sha256))
            self._engine_problems[camera.id] = "" if named else "the worker does not name its models by hash"
            self._disagreements[camera.id] = message.self_test
            self.engine = view.engine_message(message)
            self._protections[camera.id] = frozenset(name for name, granted in message.protections.items() if granted)
        elif isinstance(message, WatchlistLoaded):
            self.watchlist = message
            facts = (message.watchlist_id, message.sha256, message.subjects, message.images)
            self._watchlists[camera.id] = facts
            self._operating[camera.id] = view.operating_view(message)
            self._incomplete[camera.id] = message.incomplete
        elif isinstance(message, Withdrawn):
            self._withdrawn[camera.id] = message.entries
        elif isinstance(message, Beat):
            self.beats[camera.id] = message
            self.counts.update(camera.id, run.number, message.counters)
            return
        elif isinstance(message, CandidateRaised):
            self._candidate(camera, run, message)
        elif isinstance(message, Probe):
            self._alerts.probe(message)
        elif isinstance(message, Said):
            self._sayings.heard(camera.id, message)
            return
        self._on_change()

    def _candidate(self, camera: Camera, run: WorkerRun, message: CandidateRaised) -> None:
        """Raise or revise an alert and ask for the probe."""
        passage = (camera.id, run.number, message.candidate.passage)
        before = self._alerts.raised
        alert_id = self._alerts.candidate(passage, message.candidate, self._context(camera))
        if self._alerts.raised > before:
            self.counts.alert_raised(camera.id, run.number)
            self._edges.audit.note("alert", "R13", alert=alert_id, camera=camera.id)
        if alert_id is not None and self._active is not None:
            if message.candidate.entry_ref in self._active.withdrawn:
                self._alerts.withdrawn(alert_id)
                return
            wanted = ProbeWanted(passage=message.candidate.passage, alert_id=alert_id)
            self._workers[camera.id].send(wanted)

    def _context(self, camera: Camera) -> alert_builder.AlertContext:
        """What an alert says besides its candidate; LinkBroken when the worker has not told of its watchlist yet."""
        active, watchlist, engine = self._active, self.watchlist, self.engine
        if active is None or watchlist is None or engine is None:
            raise LinkBroken(f"the worker of camera {camera.id} raised a candidate before its watchlist")
        deployment, now = active.deployment, self._edges.clock.wall()
        return alert_builder.AlertContext(
            site=self._config.site,
            device_id=self._config.device,
            camera_id=camera.id,
            zone_id=camera.zone.name,
            boot_id=self._boot_id,
            deployment_id=deployment.id,
            mode=deployment.mode,
            engine=engine,
            watchlist=alert_builder.ListFacts(
                watchlist_id=watchlist.watchlist_id,
                sha256=watchlist.sha256,
                subjects=watchlist.subjects,
                predicted_far=watchlist.predicted_far,
            ),
            sign=messages.SignReading(
                state="simulated" if self._edges.simulated else "lit" if self.sign_sensed else "dark",
                sensed_at=rfc3339(now),
            ),
            clock=messages.ClockReading(synced=self._edges.clock.synchronised()),
            operator_session=self._hub.session_id,
            expires_s=EXPIRES_S,
            delete_by=alert_builder.delete_by(wall(deployment.window.end), deployment.retention.alert_hours, now),
            response_codes={name: category.response_code for name, category in deployment.categories.items()},
        )
