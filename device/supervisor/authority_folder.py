"""An unsigned folder instead of a signed deployment: for recordings in test or demonstration mode, and nothing else."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from device.config.model import DeviceConfig
from device.domain.time import WallTime
from device.errors import LfrError, RefusedByCondition
from device.logs import event
from device.ports.audit import Audit
from device.supervisor.authorisation import Authorisation, load_authorisation
from device.supervisor.authority import POLL_S
from device.supervisor.disk import Disk
from device.supervisor.snapshot import DeploymentView

_log = logging.getLogger(__name__)


class FolderAuthority:
    """Looks into the folder until a deployment is there. The configuration refuses it for a live camera."""

    def __init__(self, config: DeviceConfig, disk: Disk, audit: Audit) -> None:
        self._problem = "not looked for yet"
        self.over = False
        self.on_recipient: Callable[[str | None, str | None], None] = lambda *_: None
        self.on_withdrawn: Callable[[frozenset[str]], None] = lambda _: None
        self._folder = config.deployment
        self._disk = disk
        self._audit = audit

    def why(self) -> str:
        """Why there is no deployment yet."""
        return self._problem

    def view(self, _: WallTime) -> DeploymentView | None:
        """Nothing before it is loaded."""
        return None

    def refusals(self, _: WallTime) -> dict[str, str]:
        """Nothing is published, so nothing is refused."""
        return {}

    async def find(self) -> Authorisation:
        """The deployment in the folder, looked for until it is there."""
        folder = self._folder
        assert folder is not None
        while True:
            try:
                return await self._disk(lambda: load_authorisation(folder))
            except LfrError as fault:
                refused = isinstance(fault, RefusedByCondition)
                problem = fault.text if isinstance(fault, RefusedByCondition) else str(fault).replace("\n", ";")
                if problem != self._problem:
                    event(_log, "deployment.none", problem=problem)
                    self._audit.note("refused", "deployment loaded" if refused else "configuration")
                self._problem = problem
            await asyncio.sleep(POLL_S)

    async def run(self) -> None:
        """Nothing more to look for."""
        while True:
            await asyncio.sleep(3600)

    def hurry(self) -> None:
        """A folder is looked at anyway."""

    def forget(self) -> None:
        """What was in the folder is deleted with the deployment."""
