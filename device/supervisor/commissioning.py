"""The commissioning view: workers with a detector and no list, while a view is asked for and nothing is loaded.

1. They run only in `ready`, with no deployment loaded or offered, no STOP, the housing closed, the hub connected, and
   the sign sensed lit and following its pulse. The loop lights the sign while they are wanted, and switches it off
   after the last one.
2. What they detect goes into the view alone: nothing is compared or counted.
3. Before a list is loaded they are stopped, and their processes are gone.
4. A worker in front of a live camera shows nothing, and is stopped, unless it has the protections that an operational
   deployment requires of a worker: no deployment states a mode here, and people pass.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from device.config.model import Camera, DeviceConfig
from device.domain.conditions import ConditionName
from device.logs import event
from device.ports.audit import Audit
from device.supervisor.conditions.predicates import MEMORY_LOCK
from device.supervisor.conditions.snapshot import Snapshot
from device.supervisor.deployment.active import camera_assignment, vision_assignment
from device.supervisor.edges import Edges
from device.supervisor.state_machine import State
from device.supervisor.timing import Budget
from device.supervisor.workers.supervisor import WorkerSupervisor
from device.wire.link import PROTOCOL, Commission, FromWorker, Hello, View, ViewPicture

_log = logging.getLogger(__name__)


class Commissioning:
    """Its workers. wanted: a view is asked for and may be shown, so that the sign is to be lit.

    applied  a camera with the zone that was set for it
    """

    def __init__(
        self,
        config: DeviceConfig,
        edges: Edges,
        *,
        applied: Callable[[Camera], Camera],
        budget: Budget,
        on_view: Callable[[str, bytes], None],
        audit: Audit,
    ) -> None:
        self.wanted = False
        self._config = config
        self._edges = edges
        self._applied = applied
        self._budget = budget
        self._on_view = on_view
        self._audit = audit
        self._protected: set[str] = set()
        self._workers: dict[str, WorkerSupervisor] = {}
        self._closing: asyncio.Task[None] | None = None

    @property
    def alive(self) -> bool:
        """Whether any of its processes may exist."""
        return any(worker.alive for worker in self._workers.values())

    def follow(self, state: State, snapshot: Snapshot, *, asked: bool, loaded: bool) -> None:
        """Start or stop its workers as rule 1 requires; called in each round of the loop."""
        nothing_loaded = state is State.READY and not loaded and snapshot.deployment is None
        hub = snapshot.hub_absent_s == 0.0
        self.wanted = asked and nothing_loaded and hub and snapshot.stop is None
        sign = snapshot.sign
        lit = sign.driven and sign.sensed and sign.proved and sign.follows is True and not sign.problem
        if self.wanted and lit:
            self._start()
        else:
            self.restart()
        for worker in self._workers.values():
            worker.check()
            worker.renew_lease()

    def show(self, recipient: str | None) -> None:
        """Tell its running workers to whom the view is shown."""
        for worker in self._workers.values():
            worker.send(View(recipient=recipient))

    def restart(self) -> None:
        """Start its workers anew, with the zones as they are now."""
        if self._workers and self._closing is None:
            self._closing = asyncio.create_task(self.close())

    async def close(self) -> None:
        """Stop its workers; returns when no process is left."""
        closed = dict(self._workers)
        await asyncio.gather(*(worker.close() for worker in closed.values()))
        self._workers = {name: worker for name, worker in self._workers.items() if closed.get(name) is not worker}
        self._closing = None

    def _start(self) -> None:
        if self._workers or self._closing is not None:
            return
        self._protected.clear()
        self._workers = {camera.id: self._supervised(camera) for camera in self._config.cameras}
        for worker in self._workers.values():
            worker.set_wanted(True)

    def _supervised(self, camera: Camera) -> WorkerSupervisor:
        def commission() -> Commission:
            return Commission(
                protocol=PROTOCOL,
                camera=camera_assignment(self._applied(camera)),
                vision=vision_assignment(self._config, self._edges.models_dir),
            )

        return WorkerSupervisor(
            camera.id,
            assignment=commission,
            launcher=self._edges.launcher,
            clock=self._edges.clock,
            on_message=lambda _, message: self._on_message(camera, message),
            on_end=lambda _: None,
            budget=self._budget,
            recorded=not camera.live,
        )

    def _on_message(self, camera: Camera, message: FromWorker) -> None:
        if isinstance(message, Hello):
            self._check(camera, message)
        elif isinstance(message, ViewPicture) and camera.id in self._protected:
            self._on_view(camera.id, message.sealed)

    def _check(self, camera: Camera, hello: Hello) -> None:
        """Rule 4."""
        missing = MEMORY_LOCK - {name for name, granted in hello.protections.items() if granted}
        if not (camera.live and missing):
            self._protected.add(camera.id)
            return
        self._protected.discard(camera.id)
        names = ", ".join(sorted(missing))
        event(_log, "commissioning.unprotected", level=logging.ERROR, camera=camera.id, missing=names)
        self._audit.note("refused", "R02", camera=camera.id, condition=ConditionName.MEMORY_LOCKED.value)
        self._workers[camera.id].set_wanted(False)
