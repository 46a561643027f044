"""Tells everybody how the device is: notices when something changed, the status file each second, health and stats."""

from __future__ import annotations

import asyncio
import logging
import os
from contextlib import suppress
from typing import Literal, cast

from device.config.model import DeviceConfig
from device.domain.time import NS_PER_S, WallTime, rfc3339
from device.edges.host import process_memory
from device.errors import Unavailable
from device.hub_api import alert_builder, messages
from device.logs import event
from device.outbox.store import Deletion
from device.supervisor.alerts.outbox_publisher import Courier
from device.supervisor.alerts.service import AlertDesk
from device.supervisor.audit.events import Recorder
from device.supervisor.conditions.snapshot import CameraView
from device.supervisor.deployment.erasure_orders import Missed
from device.supervisor.edges import Edges
from device.supervisor.loop import Control
from device.supervisor.status import file as status_file
from device.supervisor.status import view
from device.supervisor.status.retained import Notices
from device.supervisor.status.view import Picture
from device.supervisor.workers.pool import Crew

_log = logging.getLogger(__name__)
What = Literal["alert", "template", "watchlist"]
Reason = messages.ErasureReason
REPORT_S = 0.1
LINE_S = 1.0  # the service manager's status line, while the state's name stays
FILE_S = 1.0
TIME_S = 60.0  # how often the verified time is kept, to spare the flash


class Reporter:
    """Reads the other parts, changes none."""

    def __init__(
        self,
        config: DeviceConfig,
        edges: Edges,
        *,
        control: Control,
        crew: Crew,
        desk: AlertDesk,
        courier: Courier,
        notices: Notices,
        boot_id: str,
    ) -> None:
        self._config = config
        self._edges = edges
        self._control = control
        self._crew = crew
        self._desk = desk
        self._courier = courier
        self._notices = notices
        self._boot_id = boot_id
        self._recorder = Recorder(edges.audit)
        self._camera_since: dict[str, tuple[CameraView, WallTime]] = {}
        self._written_ns = 0
        self._kept_ns = 0
        self._last_line = ""
        self._line_ns = 0
        self._last_state = ""
        self._problem = ""

    def born(self) -> None:
        """A new session with the broker."""
        self._notices.born(self._courier, self._crew.engine, self._crew.threshold)

    def deleted(self, gone: list[Deletion]) -> None:
        """A receipt for every alert that ceased to exist here."""
        for deletion in gone:
            event(_log, "alert.erased", alert=deletion.alert_id, reason=deletion.reason)
            self.receipt("alert", 1, cast(Reason, deletion.reason), deletion.alert_id)

    def receipt(
        self, what: What, count: int, reason: Reason, alert_id: str | None = None, *, process_died: bool = False
    ) -> None:
        """Proof of one deletion."""
        method = alert_builder.method_of(what, process_died=process_died)
        chained = self._edges.audit.note(
            "erased", "R04", what_gone=what, count=count, reason=reason, method=method, alert=alert_id
        )
        erasure = alert_builder.erasure_of(
            what,
            count=count,
            alert_id=alert_id,
            reason=reason,
            mode=self._notices.mode,
            at=self._edges.clock.wall(),
            process_died=process_died,
            chain_hash=chained,
        )
        self._notices.receipt(self._courier, erasure)

    def erased_before(self, missed: Missed) -> None:
        """A receipt for a list that the eraser deleted while no supervisor could."""
        reason = cast(Reason, missed.reason)
        chained = self._edges.audit.note(
            *("erased", "R04"),
            what_gone="watchlist",
            count=missed.subjects,
            reason=missed.reason,
            method="unlinked",
            deployment=missed.deployment,
            since=rfc3339(missed.at),
        )
        erasure = alert_builder.erasure_of(
            *("watchlist",),
            count=missed.subjects,
            alert_id=None,
            reason=reason,
            mode=self._notices.mode,
            at=missed.at,
            chain_hash=chained,
        )
        self._notices.receipt(self._courier, erasure)

    async def run(self) -> None:
        """Report for ever; cancelled at the end."""
        while True:
            await self.report()
            await self._keep_time()
            await asyncio.sleep(REPORT_S)

    async def _keep_time(self) -> None:
        """Keep the verified time for the eraser every TIME_S; a disk that refuses is said by whoever needs it."""
        now = int(self._edges.clock.monotonic())
        if now - self._kept_ns < TIME_S * NS_PER_S:
            return
        self._kept_ns = now
        with suppress(Unavailable):
            await self._edges.disk(self._control.orders.keep_time)

    async def report(self) -> None:
        """Say what has changed; cheap when nothing has."""
        seen = self.picture()
        self._notices.mode, self._notices.deployment_id = seen.mode, seen.deployment_id
        self._post(seen)
        self._recorder.look(seen, self._crew, self._edges.clock.monotonic())
        now = int(self._edges.clock.monotonic())
        news = seen.state.value != self._last_state
        line = view.one_line(seen)
        if line != self._last_line and (news or now - self._line_ns >= LINE_S * NS_PER_S):
            self._last_line, self._line_ns = line, now
            self._edges.service.status(line)
        if news or now - self._written_ns >= FILE_S * NS_PER_S:
            self._last_state, self._written_ns = seen.state.value, now
            await self._write(seen)

    def picture(self) -> Picture:
        """Everything at this moment."""
        control, now = self._control, self._edges.clock.wall()
        for camera, camera_view in self._crew.views().items():
            if camera not in self._camera_since or self._camera_since[camera][0] is not camera_view:
                self._camera_since[camera] = (camera_view, now)
        deployment = control.snapshot.deployment
        return Picture(
            at=now,
            state=control.state,
            since=control.since,
            mode=None if deployment is None else deployment.mode,
            snapshot=control.snapshot,
            readings=control.readings,
            lamps=dict(control.lamps),
            simulated=self._edges.simulated,
            totals=self._crew.ledger.totals(),
            alerts=self._desk.raised,
            lost=self._crew.ledger.lost,
            beats=dict(self._crew.beats),
            camera_since={camera: since for camera, (_, since) in self._camera_since.items()},
            broker="connected" if self._courier.connected else self._courier.reason,
            waiting=sum(self._courier.waiting.values()),
            sign_counts=control.sign.counts,
        )

    def final_stats(self) -> None:
        """The counts at the end."""
        self._recorder.counts(self._crew.ledger.reading(), settled=True)
        self._notices.stats(self._courier, view.stats_message(self.picture(), self._boot_id))

    def watchlist_erased(self) -> None:
        """The list is gone, and since when."""
        erased = rfc3339(self._edges.clock.wall())
        none = messages.WatchlistState(
            mode=self._notices.mode, watchlist_id=None, sha256=None, subjects=0, images=0, erased_at=erased
        )
        self._notices.watchlist(self._courier, none)

    def _post(self, seen: Picture) -> None:
        """Everything retained, sent only where it changed; health and stats when due."""
        self._notices.state(self._courier, view.state_message(seen))
        for camera in view.camera_messages(seen):
            self._notices.camera(self._courier, camera)
        loaded = self._crew.watchlist
        if loaded is not None and self._control.authorisation is not None:
            window = self._control.authorisation.deployment.window
            self._notices.watchlist(
                self._courier, view.watchlist_message(seen.mode, loaded, window, self._crew.withdrawn)
            )
            self._notices.identity(self._courier, self._crew.engine, self._crew.threshold)
        if self._notices.health_due():
            self._notices.health(self._courier, self._health(seen))
        stats = view.stats_message(seen, self._boot_id)
        if self._notices.stats_due():
            self._notices.stats(self._courier, stats)
        else:
            self._notices.live_stats(self._courier, stats)

    def _health(self, seen: Picture) -> messages.Health:
        stages: dict[str, float] = {}
        for beat in seen.beats.values():
            for stage, p95_ms in beat.stage_p95_ms.items():
                stages[stage] = max(stages.get(stage, 0.0), p95_ms)
        own = process_memory.resident_bytes()
        return messages.Health(
            mode=seen.mode,
            at=rfc3339(seen.at),
            fps=round(seen.fps, 2),
            temperature_c=self._control.machine.temperatures_c,
            disk_free_bytes=seen.snapshot.disk_free_bytes,
            rss_bytes=(own or 0) + sum(beat.rss_bytes for beat in seen.beats.values()),
            gpu_free_bytes=min(
                (b.gpu_free_bytes for b in seen.beats.values() if b.gpu_free_bytes is not None), default=None
            ),
            outbox_waiting=seen.waiting,
            clock=messages.ClockReading(synced=seen.snapshot.clock_synchronised),
            stage_p95_ms=stages,
            throttled=seen.snapshot.thermal.throttled,
            sign=view.sign_health(seen),
        )

    async def _write(self, seen: Picture) -> None:
        """The status file; when it cannot be written the device goes on, and says so once."""
        content = view.status(seen, os.getpid(), self._config.site, self._config.device)
        try:
            await self._edges.disk(lambda: status_file.write(self._config.run_dir, content))
            self._problem = ""
        except Unavailable as fault:
            if str(fault) != self._problem:
                event(_log, "status_file.unavailable", level=logging.WARNING, problem=str(fault))
            self._problem = str(fault)
