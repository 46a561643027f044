"""Zones of recognition that the hub has set: signed commands, kept, instead of those of the configuration file.

1. A zone is set only while no list is loaded, so that nobody's deployment changes under it. It is checked as in the
   configuration: three corners or more, an area, no crossing edges.
2. The command is kept as it came (`zones/<camera>.json` in the state folder), and its signature is checked again at
   every start: who can write that folder cannot set a zone.
3. Each one that is set or refused at a start is in the audit log.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Callable
from pathlib import Path

import msgspec
from pydantic import ValidationError

from device.config.model import Camera, DeviceConfig, Zone
from device.durable import make_folder, replace_file
from device.errors import BadData, Unavailable
from device.hub_api.command_check import CommandCheck
from device.hub_api.messages import Command
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
        self._folder = config.state_dir / "zones"
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
        self._apply(command)
        content = msgspec.json.encode(command)
        self._keeping = asyncio.get_running_loop().create_task(self._keep(self._file(command), content))
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
                self._apply(command)
            except FileNotFoundError:
                continue
            except (OSError, Unavailable, BadData, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as fault:
                event(_log, "zone.refused", level=logging.ERROR, camera=camera, problem=str(fault))
                self._audit.note("refused", "zone", camera=camera, reason="kept zone")

    def _apply(self, command: Command) -> None:
        zone = self._zone(command)
        camera = command.zone.camera_id if command.zone is not None else ""
        self._set[camera] = zone
        digest = hashlib.sha256(repr(zone.polygon).encode()).hexdigest()
        event(_log, "zone.set", camera=camera, corners=len(zone.polygon), by=command.given_by)
        self._audit.note("zone", camera=camera, officer=command.given_by, sha256=digest, count=len(zone.polygon))

    def _zone(self, command: Command) -> Zone:
        if command.zone is None or command.zone.camera_id not in self._cameras:
            raise BadData("it names no camera of this device")
        corners = tuple((x / SCALE, y / SCALE) for x, y in command.zone.polygon)
        try:
            return Zone(name=self._cameras[command.zone.camera_id].zone.name, polygon=corners)
        except ValidationError as fault:
            raise BadData("; ".join(error["msg"] for error in fault.errors())) from fault

    def _file(self, command: Command) -> Path:
        return self._folder / f"{command.zone.camera_id if command.zone is not None else ''}.json"

    async def _keep(self, file: Path, content: bytes) -> None:
        def write() -> None:
            make_folder(self._folder)
            replace_file(file, content)

        try:
            await self._disk(write)
        except (OSError, Unavailable) as fault:
            event(_log, "zone.not_kept", level=logging.ERROR, file=file.name, problem=str(fault))
            self._audit.note("fault", condition="zone not kept")
