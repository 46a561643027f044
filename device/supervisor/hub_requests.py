"""What the hub may ask of this device with signed commands, wired: stop, resume, sync, views, zones."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from device.config.model import DeviceConfig
from device.hub_api.command_check import CommandCheck
from device.hub_api.messages import Command
from device.ports.audit import Audit
from device.supervisor.commands import Commands
from device.supervisor.commissioning import Commissioning
from device.supervisor.edges import Edges
from device.supervisor.live_view import END_VIEW, VIEW, LiveView
from device.supervisor.status.retained import Notices
from device.supervisor.timing import VIEW_RENEW_S, Budget
from device.supervisor.workers.pool import WorkerPool
from device.supervisor.zones import ZONE, Zones


class HubRequests:
    """act: carries out stop, resume and sync;  loaded: whether a deployment is loaded or offered."""

    def __init__(
        self,
        config: DeviceConfig,
        edges: Edges,
        boot_id: str,
        *,
        audit: Audit,
        pool: WorkerPool,
        notices: Notices,
        budget: Budget,
        act: Callable[[Command], None],
        loaded: Callable[[], bool],
    ) -> None:
        check = CommandCheck(config.site, config.device, edges.authority)
        self._pool = pool
        self._act = act
        self.view = LiveView(edges.clock, audit, allowed=config.live_view, show=self._show, send=notices.view)
        self.commissioning = Commissioning(
            config,
            edges,
            applied=lambda camera: self.zones.applied(camera),
            budget=budget,
            on_view=self.view.picture,
            audit=audit,
        )
        self.zones = Zones(
            config,
            check,
            edges.disk,
            clock=edges.clock,
            audit=audit,
            loaded=loaded,
            on_change=self.commissioning.restart,
        )
        self.commands = Commands(
            check,
            boot_id,
            edges.clock,
            audit,
            act=self._carry_out,
            reply=notices.command_reply,
            objection=lambda command: self.view.objection(command) or self.zones.objection(command),
        )

    async def run(self) -> None:
        """Renew the view until cancelled."""
        while True:
            self.view.renew()
            await asyncio.sleep(VIEW_RENEW_S)

    def _show(self, recipient: str | None) -> None:
        self._pool.show_view(recipient)
        self.commissioning.show(recipient)

    def _carry_out(self, command: Command) -> None:
        if command.name in (VIEW, END_VIEW):
            self.view.command(command)
        elif command.name == ZONE:
            self.zones.command(command)
        else:
            self._act(command)
