"""Reports the device's state: notices on change, the status file each second, health and stats."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable

from device.config.model import DeviceConfig
from device.domain.time import NS_PER_S, WallTime, rfc3339
from device.edges.host import process_memory
from device.errors import Unavailable
from device.hub_api import messages
from device.logs import event
from device.ports.audit import Audit
from device.supervisor.alerts.outbox_publisher import OutboxPublisher
from device.supervisor.alerts.service import AlertService
from device.supervisor.audit.events import AuditEvents
from device.supervisor.conditions.snapshot import CameraView
from device.supervisor.edges import Edges
from device.supervisor.live_view import LiveView
from device.supervisor.loop import SupervisorLoop
from device.supervisor.runtime.latency_drift import LatencyDrift, slowest
from device.supervisor.status import file as status_file
from device.supervisor.status import view
from device.supervisor.status.certificates import CertificatesView
from device.supervisor.status.line import release_note, status_line
from device.supervisor.status.retained import Notices, version
from device.supervisor.status.view import StatusView
from device.supervisor.timing import REPORT_S, STATUS_S
from device.supervisor.workers.pool import WorkerPool

_log = logging.getLogger(__name__)


class Reporter:
    """Reads the other parts and changes none of them."""

    def __init__(
        self,
        config: DeviceConfig,
        edges: Edges,
        *,
        audit: Audit,
        supervisor: SupervisorLoop,
        pool: WorkerPool,
        alerts: AlertService,
        publisher: OutboxPublisher,
        notices: Notices,
        boot_id: str,
        live_view: LiveView,
        software: Callable[[], str] = str,
        certificates: Callable[[], CertificatesView] = CertificatesView,
    ) -> None:
        """software: what a person should know of the last update of the software."""
        self._live_view = live_view
        self._config = config
        self._edges = edges
        self._audit = audit
        self._supervisor = supervisor
        self._pool = pool
        self._alerts = alerts
        self._publisher = publisher
        self._notices = notices
        self._boot_id = boot_id
        self._software = software
        self._certificates = certificates
        self._audit_events = AuditEvents(audit)
        self._camera_since: dict[str, tuple[CameraView, WallTime]] = {}
        self._shown_ns = 0
        self._last_line = ""
        self._last_state = ""
        self._problem = ""
        self._drift = LatencyDrift()

    def session_began(self) -> None:
        """Publish everything retained on a new session with the broker."""
        self._notices.session_began(self._pool.reports.engine, self._pool.reports.threshold)

    async def run(self) -> None:
        """Report until cancelled."""
        while True:
            await self.report()
            await asyncio.sleep(REPORT_S)

    async def report(self) -> None:
        """Publish what has changed; cheap when nothing has."""
        beats = {camera: beat.stage_p95_ms for camera, beat in self._pool.reports.beats.items()}
        self._drift.observe(slowest(beats), int(self._edges.clock.monotonic()))
        seen = self.view_now()
        self._post(seen)
        self._audit_events.observe(seen, self._pool, self._edges.clock.monotonic())
        now = int(self._edges.clock.monotonic())
        news = seen.state.value != self._last_state
        line = status_line(seen)
        if seen.snapshot.deployment is None:
            line += release_note(version(), seen.software)
        if news or now - self._shown_ns >= STATUS_S * NS_PER_S:  # line and file show the same moment
            self._last_state, self._shown_ns = seen.state.value, now
            if line != self._last_line:
                self._last_line = line
                self._edges.service.status(line)
            await self._write(seen)

    def view_now(self) -> StatusView:
        """The whole device's state at this moment."""
        supervisor, now = self._supervisor, self._edges.clock.wall()
        for camera, camera_view in self._pool.views().items():
            if camera not in self._camera_since or self._camera_since[camera][0] is not camera_view:
                self._camera_since[camera] = (camera_view, now)
        deployment = supervisor.snapshot.deployment
        return StatusView(
            at=now,
            state=supervisor.state,
            since=supervisor.since,
            mode=None if deployment is None else deployment.mode,
            snapshot=supervisor.snapshot,
            evaluations=supervisor.evaluations,
            lamps=dict(supervisor.indicators.lit),
            tower=supervisor.indicators.code,
            simulated=self._edges.simulated,
            totals=self._pool.counts.totals(),
            alerts=self._alerts.raised,
            probes_dropped=self._alerts.probes_dropped,
            lost=self._pool.counts.lost,
            beats=dict(self._pool.reports.beats),
            camera_since={camera: since for camera, (_, since) in self._camera_since.items()},
            broker="connected" if self._publisher.connected else self._publisher.reason,
            waiting=sum(self._publisher.waiting.values()),
            sign_counts=supervisor.sign.counts,
            live_view=self._live_view.reading(),
            board=supervisor.host.board,
            stage_start_ms=dict(self._drift.at_start_ms),
            slower_stages=self._drift.slower,
            software=self._software(),
            certificates=self._certificates(),
        )

    def final_stats(self) -> None:
        """The counts at the end."""
        self._audit_events.counts(self._pool.counts.running(), settled=True)
        self._notices.stats(view.stats_message(self.view_now(), self._boot_id))

    def watchlist_erased(self) -> None:
        """Record that the list is erased, and when."""
        erased = rfc3339(self._edges.clock.wall())
        none = messages.WatchlistState(
            mode=self._notices.mode, watchlist_id=None, sha256=None, subjects=0, images=0, erased_at=erased
        )
        self._notices.watchlist(none)

    def _post(self, seen: StatusView) -> None:
        """Publish everything retained where it changed; health and stats when due."""
        self._notices.state(view.state_message(seen))
        for camera in view.camera_messages(seen):
            self._notices.camera(camera)
        loaded = self._pool.reports.watchlist
        if loaded is not None and self._supervisor.active is not None:
            window = self._supervisor.active.deployment.window
            self._notices.watchlist(view.watchlist_message(seen.mode, loaded, window, self._pool.reports.withdrawn))
            self._notices.identity(self._pool.reports.engine, self._pool.reports.threshold)
        if self._notices.health_due():
            self._notices.health(self._health(seen))
        stats = view.stats_message(seen, self._boot_id)
        if self._notices.stats_due():
            self._notices.stats(stats)
        else:
            self._notices.live_stats(stats)

    def _health(self, seen: StatusView) -> messages.Health:
        board, own, ends = seen.board, process_memory.resident_bytes(), seen.certificates.first_end
        return messages.Health(
            mode=seen.mode,
            at=rfc3339(seen.at),
            state=seen.state.value,
            fps=round(seen.fps, 2),
            temperature_c=self._supervisor.host.temperatures_c,
            disk_free_bytes=seen.snapshot.disk_free_bytes,
            rss_bytes=(own or 0) + sum(beat.rss_bytes for beat in seen.beats.values()),
            gpu_free_bytes=min(
                (b.gpu_free_bytes for b in seen.beats.values() if b.gpu_free_bytes is not None), default=None
            ),
            outbox_waiting=seen.waiting,
            clock=messages.ClockReading(synced=seen.snapshot.clock_synchronised),
            stage_p95_ms=seen.stage_p95_ms,
            stage_p95_start_ms=seen.stage_start_ms,
            slower_stages=list(seen.slower_stages),
            throttled=seen.snapshot.thermal.throttled,
            limited_by=None if board.limited_by is None else list(board.limited_by),
            over_current_events=board.over_current,
            gpu_load=board.gpu_load,
            power_mode=None if board.power_mode is None else board.power_mode.name or str(board.power_mode.number),
            memory_available_bytes=None if board.memory is None else board.memory.available_bytes,
            memory_total_bytes=None if board.memory is None else board.memory.total_bytes,
            sign=view.sign_health(seen),
            certificates_end=None if ends is None else rfc3339(ends),
            certificates_not_renewed=seen.certificates.problem,
        )

    async def _write(self, seen: StatusView) -> None:
        """Write the status file; a failure is logged once, and the device goes on."""
        content = view.status(seen, os.getpid(), self._config.site, self._config.device) | {"version": version()}
        try:
            await self._edges.disk(lambda: status_file.write(self._config.run_dir, content))
            self._problem = ""
        except Unavailable as fault:
            if str(fault) != self._problem:
                event(_log, "status_file.unavailable", level=logging.WARNING, problem=str(fault))
            self._problem = str(fault)
