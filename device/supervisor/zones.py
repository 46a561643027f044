"""Zones of recognition that the hub has set: signed commands, kept, instead of those of the configuration file.

1. A zone is set only while no list is loaded, so that nobody's deployment changes under it. It is checked as in the
   configuration: three corners or more, an area, no crossing edges.
2. The command is kept as it came (`zones/<camera>.json` in the state folder), and its signature is checked again at
   every start: who can write that folder cannot set a zone.
3. Each one that is set or refused at a start is in the audit log, once it is kept.
4. A kept command that had expired before the log's last zone of that camera was set is an older one, put back: it is
   refused. Who removes that row as well is found by the hub's heads of the log.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

import msgspec
from pydantic import ValidationError

from device.audit.log import FILE, FOLDER, lines_of, older_parts
from device.audit.rows import BadRow, Row, read
from device.config.model import Camera, DeviceConfig, Zone
from device.durable import make_folder, replace_file
from device.errors import BadData, Unavailable
from device.hub_api.command_check import CommandCheck
from device.hub_api.messages import Command, moment
from device.logs import event
from device.ports.audit import Audit
from device.ports.clock import Clock
from device.supervisor.runtime.executor import Disk

ZONE = "zone"
SCALE = 1000
_log = logging.getLogger(__name__)


class Zones:
    """loaded: whether a deployment is loaded or offered;  on_change: called when a zone was set."""

    def __init__(
        self,
        config: DeviceConfig,
        check: CommandCheck,
        disk: Disk,
        *,
        clock: Clock,
        audit: Audit,
        loaded: Callable[[], bool],
        on_change: Callable[[], None],
    ) -> None:
        self._cameras = {camera.id: camera for camera in config.cameras}
        self._folder, self._log = config.state_dir / "zones", config.state_dir / FOLDER
        self._check = check
        self._disk = disk
        self._clock = clock
        self._audit = audit
        self._loaded = loaded
        self._on_change = on_change
        self._set: dict[str, Zone] = {}
        self._keeping: asyncio.Task[None] | None = None

    def applied(self, camera: Camera) -> Camera:
        """The camera with the zone that was set for it, or with its own."""
        zone = self._set.get(camera.id)
        return camera if zone is None else camera.model_copy(update={"zone": zone})

    def objection(self, command: Command) -> str:
        """Why this `zone` is refused; empty when it is not, and for every other command."""
        if command.name != ZONE:
            return ""
        if self._loaded():
            return "a zone is set only while no list is loaded"
        try:
            self._zone(command)
        except BadData as fault:
            return str(fault)
        return ""

    def command(self, command: Command) -> None:
        """Set it, and keep it."""
        zone = self._apply(command)
        self._keeping = asyncio.get_running_loop().create_task(self._keep(command, zone))
        self._on_change()

    async def read(self) -> None:
        """Set what was kept (rule 2); what cannot be used is logged, and the configuration's zone counts."""
        for camera in self._cameras:
            file = self._folder / f"{camera}.json"
            try:
                command = msgspec.json.decode(await self._disk(file.read_bytes), type=Command)
                if command.name != ZONE or command.zone is None or command.zone.camera_id != camera:
                    raise BadData("it is another command, or another camera's")
                self._check.require_signed(command, self._clock.wall(), kept=True)
                await self._disk(partial(self._require_newest, command))
                self._note(command, self._apply(command))
            except FileNotFoundError:
                continue
            except (OSError, Unavailable, BadData, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as fault:
                event(_log, "zone.refused", level=logging.ERROR, camera=camera, problem=str(fault))
                self._audit.note("refused", "zone", camera=camera, reason="kept zone")

    def _apply(self, command: Command) -> Zone:
        zone, camera = self._zone(command), _camera_of(command)
        self._set[camera] = zone
        event(_log, "zone.set", camera=camera, corners=len(zone.polygon), by=command.given_by)
        return zone

    def _note(self, command: Command, zone: Zone) -> None:
        corners, officer = len(zone.polygon), command.given_by
        self._audit.note("zone", camera=_camera_of(command), officer=officer, sha256=_digest(zone), count=corners)

    def _require_newest(self, command: Command) -> None:
        """Rule 4. Raises BadData; on the disk thread."""
        last = _last_row(self._log, _camera_of(command))
        if last is None or last.record.sha256 == _digest(self._zone(command)):
            return
        if moment(last.at) > moment(command.expires_at):
            raise BadData(f"it is older than the zone that was set by {last.at}; set it again")

    def _zone(self, command: Command) -> Zone:
        if command.zone is None or command.zone.camera_id not in self._cameras:
            raise BadData("it names no camera of this device")
        corners = tuple((x / SCALE, y / SCALE) for x, y in command.zone.polygon)
        try:
            return Zone(name=self._cameras[command.zone.camera_id].zone.name, polygon=corners)
        except ValidationError as fault:
            raise BadData("; ".join(error["msg"] for error in fault.errors())) from fault

    async def _keep(self, command: Command, zone: Zone) -> None:
        file = self._folder / f"{_camera_of(command)}.json"

        def write() -> None:
            make_folder(self._folder)
            replace_file(file, msgspec.json.encode(command))

        try:
            await self._disk(write)
        except (OSError, Unavailable) as fault:
            event(_log, "zone.not_kept", level=logging.ERROR, file=file.name, problem=str(fault))
            self._audit.note("fault", condition="zone not kept")
        self._note(command, zone)


def _camera_of(command: Command) -> str:
    return "" if command.zone is None else command.zone.camera_id


def _digest(zone: Zone) -> str:
    return hashlib.sha256(repr(zone.polygon).encode()).hexdigest()


def _last_row(log: Path, camera: str) -> Row | None:
    """The last zone of that camera in the audit log, which has a row of it for every start; None when it has none."""
    for file in (log / FILE, *reversed(older_parts(log))):
        found = None
        for line in lines_of(file) if file.exists() else ():
            if b'"zone"' not in line:
                continue
            with suppress(BadRow):  # the log's own verification reports it
                row = read(line.rstrip(b"\n"))
                found = row if row.record.what == "zone" and row.record.camera == camera else found
        if found is not None:
            return found
    return None
